// Package platformtest is the suite that every gateway.Platform passes. A platform's own tests call
// Run with an account that really works; the suite then does with it what the gateway does.
package platformtest
