//go:build race

package main

// underRace: the race detector needs several times the memory, so figures of memory mean nothing.
const underRace = true
