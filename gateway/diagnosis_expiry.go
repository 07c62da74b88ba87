package gateway

import (
	"context"
	"fmt"
	"time"
)

// warnDays are how many days ahead of a token's end its admins are warned, the nearest first.
var warnDays = []int{1, 3, 7, 14, 30}

// Expiry is the end of a credential, told ahead of time.
type Expiry struct {
	At       time.Time
	DaysLeft int    // begun days; 0 = it is over
	Near     bool   // near enough for a warning
	Message  string // one sentence
	NextStep string
}

// Expiry says when the credential ends. ok is false when it does not, or when that is not known:
// a token that gives user sessions only may not read itself.
func (d Diagnosis) Expiry(now time.Time) (e Expiry, ok bool) {
	if d.TokenExpiry.IsZero() {
		return e, false
	}
	left := d.TokenExpiry.Sub(now)
	e = Expiry{At: d.TokenExpiry, DaysLeft: int(max(0, (left+day-1)/day)), Near: left <= time.Duration(warnDays[len(warnDays)-1])*day}
	on := d.TokenExpiry.UTC().Format("2 January 2006 at 15:04 UTC")
	switch {
	case left <= 0:
		e.Message = "The App Token expired on " + on + "."
	case e.DaysLeft == 1:
		e.Message = "The App Token expires within a day, on " + on + "."
	default:
		e.Message = fmt.Sprintf("The App Token expires in %d days, on %s.", e.DaysLeft, on)
	}
	e.NextStep = "Ask the Kaltura administrator to move its expiry (appToken.update), or paste a new App Token: nothing is interrupted while both exist."
	return e, true
}

// warn tells once for each of warnDays that the token will end, and reports whether u changed.
func (s *Integrations) warn(ctx context.Context, tx Tx, in Integration, u *Upkeep) (bool, error) {
	e, ok := in.Diagnosis.Expiry(s.Clock())
	if !ok || e.DaysLeft == 0 { // what has ended is told as a refused credential
		return false, nil
	}
	for _, ahead := range warnDays {
		if e.DaysLeft > ahead {
			continue
		}
		same := u.WarnedFor != nil && u.WarnedFor.Equal(e.At)
		if same && u.WarnedDays != 0 && u.WarnedDays <= ahead {
			return false, nil
		}
		u.WarnedFor, u.WarnedDays = &e.At, ahead
		return true, s.Events.Append(ctx, tx, in.HubID, AudienceAdmins, "integration.expiring", in.ID, map[string]any{
			"expires_at": e.At, "days_left": e.DaysLeft, "text": e.Message, "fix": e.NextStep,
		})
	}
	return false, nil
}

// foresee finds the end of a token that may not read itself. Kaltura cuts the life of a session to
// that of its token, so sessions that are shorter than they used to be end together with the token.
// When they are as short the next day as the day before, somebody has changed their length instead.
func foresee(in Integration, u *Upkeep, d Diagnosis) Diagnosis {
	const noise = int64(time.Minute / time.Second)
	life, before := d.SessionLife, in.Diagnosis.SessionLife
	if life == 0 {
		return d
	}
	if u.TokenID != in.AppTokenID { // compare resets the rest
		u.LongestLife = 0
	}
	short := life < u.LongestLife-noise
	settled := before > 0 && before < u.LongestLife-noise && max(life-before, before-life) <= noise &&
		d.At.Sub(in.Diagnosis.At) > 4*time.Duration(noise)*time.Second
	switch {
	case !short, settled:
		u.LongestLife = life
	case d.TokenExpiry.IsZero():
		d.TokenExpiry = d.At.Add(time.Duration(life) * time.Second).Truncate(time.Second)
	}
	return d
}
