// Package rate decides how fast a transfer sends. A Controller is told what the receiver reported
// and answers with a pacing rate, a bound on outstanding bytes and the reason for them; an EndGame
// says which blocks to repeat when nothing new is left. Both are pure: no clock, no goroutine, no
// random number of their own, so that package sim can run them in virtual time.
//
// The idea: the delivered rate is the anchor, the queue that the flow adds to the path (round trip
// less the smallest one) is steered to a target that falls with the flow's rate, so flows sharing a
// link meet at equal rates. Loss by itself slows nothing down; loss that rises with the own rate
// does, for buffers too small to show a delay.
package rate
