package gateway_test

import (
	"fmt"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
)

func TestWrongAttemptsAreSlowedDown(t *testing.T) {
	clock := gatewaytest.NewClock()
	a := &gateway.Attempts{Clock: clock.Now}
	try := func(name, address string, right bool) error {
		done, err := a.Begin(name, address)
		if err == nil {
			done(right)
		}
		return err
	}
	for range 1000 { // who knows the secret is never slowed down
		if err := try("ada", "192.0.2.1", true); err != nil {
			t.Fatal(err)
		}
	}
	wrong := 0
	for try("bob", "192.0.2.1", false) == nil {
		if wrong++; wrong > 50 {
			t.Fatal("guessing has no end")
		}
	}
	err := try("bob", "192.0.2.1", true)
	gatewaytest.Want(t, err, gateway.RateLimited, "too_many_attempts")
	gatewaytest.Explained(t, err)
	wait := gateway.AsError(err).Retry
	if wait <= 0 || wait > time.Minute {
		t.Fatal(wait)
	}
	if err := try("ada", "192.0.2.1", true); err != nil {
		t.Error("somebody else at the same address:", err)
	}
	if err := try("bob", "192.0.2.2", true); err != nil {
		t.Error("the same name elsewhere: a stranger must not lock people out:", err)
	}
	clock.Add(wait)
	if err := try("bob", "192.0.2.1", true); err != nil {
		t.Error("after the wait:", err)
	}
	// Another name each time, from the addresses of one customer.
	n := 0
	for ; n < 1000; n++ {
		if try(fmt.Sprint("name", n), fmt.Sprintf("2001:db8::%x", n), false) != nil {
			break
		}
	}
	if n == 1000 {
		t.Error("many names from one network have no end")
	}
	// Many attempts at once count before any of them has failed.
	under := 0
	for ; under < 1000; under++ {
		if _, err := a.Begin("kim", "192.0.2.9"); err != nil {
			break
		}
	}
	if under == 1000 {
		t.Error("attempts at once are not counted")
	}
	// With Judge many right ones at once are none; of many wrong ones few outcomes are told.
	for range 1000 {
		if err := a.Check("lea", "192.0.2.10"); err != nil {
			t.Fatal(err)
		}
	}
	for range 1000 {
		if err := a.Judge("lea", "192.0.2.10", true); err != nil {
			t.Fatal(err)
		}
	}
	told := 0
	for a.Judge("lea", "192.0.2.10", false) == nil {
		if told++; told > 50 {
			t.Fatal("guessing at once has no end")
		}
	}
	gatewaytest.Want(t, a.Judge("lea", "192.0.2.10", true), gateway.RateLimited, "too_many_attempts")
	gatewaytest.Want(t, a.Check("lea", "192.0.2.10"), gateway.RateLimited, "too_many_attempts")
}
