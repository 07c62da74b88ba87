// Command isthmus is the server and its admin commands. It holds configuration and wiring only:
// what Isthmus does lies in the other packages.
package main
