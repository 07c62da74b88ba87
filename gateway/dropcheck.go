package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	testTime     = 20 * time.Second
	testExamples = 20
	testLook     = 10_000 // files
)

// Test tries a folder's settings, those of the draft over the saved ones; without an id those of a new folder. It makes and changes
// nothing, and what does not work is part of its outcome.
func (s *DropFolders) Test(ctx context.Context, a Actor, id string, d DropFolderDraft) (DropTest, error) {
	if err := dropWriter(a); err != nil {
		return DropTest{}, err
	}
	f := newDropFolder()
	f.Row = Row{ID: NewID("dfo"), HubID: a.HubID}
	if id != "" {
		var err error
		if f, err = s.folder(ctx, s.Store, a, id); err != nil {
			return DropTest{}, err
		}
	}
	before := f
	if err := d.apply(&f, id == ""); err != nil {
		return DropTest{}, err
	}
	if d.moves(before, f) {
		if err := dropPlacer(a); err != nil {
			return DropTest{}, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, testTime)
	defer cancel()
	t := DropTest{OK: true}
	t.add("account", "The hub's Kaltura account can be used.", s.testAccount(ctx, a, f, id == ""))
	if f.Source == DropUploads {
		return t, nil
	}
	others, err := s.Store.DropFolders().Places(ctx, f.Source)
	if err != nil {
		return DropTest{}, err
	}
	if err := apart(f, others); err != nil {
		t.add("apart", "", err)
		return t, nil // nobody looks into another folder's place this way
	}
	t.add("apart", "No other folder looks at this place.", nil)
	seen, err := s.testPlace(ctx, f, d, &t)
	t.add("place", fmt.Sprintf("The place can be read; %s.", seen), err)
	if f.Source == DropDirectory {
		t.add("complete", "It is known when a file is whole.", f.completes())
	}
	return t, nil
}

// completes says what is missing for lone files of a directory ever to be taken.
func (f DropFolder) completes() error {
	if f.Complete != (DropComplete{}) || f.Handler == HandleXML { // of manifests the sizes are enough
		return nil
	}
	return E(Invalid, "never_whole", "Nothing says when a file in the directory is whole: none is taken by itself.").
		Next("Choose a temporary name, a marker file, or a time without a change.").At("/complete")
}

func (t *DropTest) add(name, text string, err error) {
	c := DropCheck{Name: name, Text: text, OK: err == nil}
	if err != nil {
		e := AsError(err)
		c.Text, c.Fix, t.OK = e.Message, e.NextStep, false
	}
	t.Checks = append(t.Checks, c)
}

// testAccount asks whether what the folder says of its entries resolves, for whoever it acts for.
func (s *DropFolders) testAccount(ctx context.Context, a Actor, f DropFolder, fresh bool) error {
	maker := a
	if !fresh {
		in, err := s.Integrations.saved(ctx, a.HubID)
		if err == nil {
			maker, err = s.heir(ctx, s.Store, a, f, in)
		}
		if err != nil {
			return err
		}
	}
	h, err := s.handOf(ctx, maker)
	if err != nil {
		return err
	}
	if err := h.allowed(f.Origin.UserID, "folder"); err != nil {
		return err.At("/origin/user_id")
	}
	if f.Origin.ConversionProfileID == 0 {
		return nil
	}
	return h.editor.Check(ctx, h.actor, EntryChange{ConversionProfile: ManifestRef{ID: f.Origin.ConversionProfileID}})
}

// testPlace looks at some of the files that are there, and says of some what would become of them.
func (s *DropFolders) testPlace(ctx context.Context, f DropFolder, d DropFolderDraft, t *DropTest) (seen string, _ error) {
	if s.Sources == nil {
		return "", E(Precondition, "sources_off", "This server looks at no directories and buckets.").Next("Choose uploads, or ask the operator.").At("/source")
	}
	rules, err := rulesOf(f)
	if err != nil {
		return "", err
	}
	secret := *cmp.Or(d.Secret, new(Secret))
	if d.Secret == nil {
		if secret, err = s.secret(f); err != nil {
			return "", err
		}
	}
	src, err := s.Sources.Open(ctx, f, secret)
	if err != nil {
		return "", err
	}
	defer func() { _ = src.Close() }()
	n := 0
	err = src.Scan(ctx, func(e DropEntry) error {
		if n++; len(t.Examples) < testExamples {
			t.Examples = append(t.Examples, s.example(rules, e))
		}
		if n >= testLook {
			return errEnough
		}
		return nil
	})
	switch {
	case errors.Is(err, errEnough):
		return fmt.Sprintf("it has more than %d files", testLook), nil
	case ctx.Err() != nil:
		return "", E(Unavailable, "place_slow", "The place did not answer in 20 seconds.").Next("Check its network, then try again.")
	case n == 1:
		return "it has one file", err
	}
	return fmt.Sprintf("it has %d files", n), err
}

func (s *DropFolders) example(rules *dropRules, e DropEntry) DropExample {
	x := DropExample{Name: e.Name, Size: e.Size, Why: e.Odd}
	if x.Why == "" {
		x.Why = rules.left(e.Name, s.Manifests != nil && s.Manifests.Format(e.Name) != "")
	}
	if x.Why == "" {
		r, err := rules.read(e.Name)
		x.Reading = r
		if err != nil {
			x.Why = AsError(err).Reason
		}
	}
	x.Taken = x.Why == ""
	return x
}
