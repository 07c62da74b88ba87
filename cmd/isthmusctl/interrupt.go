package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// interruptible gives a context that ends with the first Ctrl-C, so that work under way can be put in
// order; the second one ends the program at once.
func interruptible(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(parent)
	asked := make(chan os.Signal, 2)
	signal.Notify(asked, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-asked:
			cancel()
		case <-ctx.Done():
			return
		}
		<-asked
		os.Exit(exitInterrupted)
	}()
	return ctx, func() {
		signal.Stop(asked)
		cancel()
	}
}
