package jobs

import (
	"context"
	"time"

	"isthmus/gateway"
)

// erasePerson forgets a participant. It is never given up: nobody else would do it.
func erasePerson(s Services) *worker[gateway.ErasePerson] {
	return &worker[gateway.ErasePerson]{
		run:      func(ctx context.Context, t gateway.ErasePerson) error { return s.People.RunErasure(ctx, t.ErasureID) },
		stubborn: true,
		timeout:  10 * time.Minute,
	}
}
