// Command emulate joins two network namespaces by an emulated link until it is interrupted, then
// prints what crossed it.
package main
