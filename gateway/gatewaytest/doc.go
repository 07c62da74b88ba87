// Package gatewaytest holds what tests of several rooms need: a clock that stands still, people and
// hubs that are there already. Everything in it goes through the real ports; nothing here replaces a
// part of ours.
package gatewaytest
