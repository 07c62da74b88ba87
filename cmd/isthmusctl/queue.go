package main

import (
	"cmp"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// queueState is where a job of the agent's queue stands.
type queueState string

const (
	queueQueued    queueState = "queued"    // its turn comes
	queueSending   queueState = "sending"   // on disk: it was when the agent last wrote; then it is queued again
	queueWaiting   queueState = "waiting"   // tries again by itself
	queuePaused    queueState = "paused"    // by a person
	queueDone      queueState = "done"      // every file was accepted
	queueFailed    queueState = "failed"    // a person has to do something
	queueCancelled queueState = "cancelled" // by a person
)

// queueJob is one transfer, as it lies on disk. Its files lie apart, because they never change.
type queueJob struct {
	ID        string        `json:"id"`
	Server    string        `json:"server"` // origin of the server, such as https://isthmus.example.org
	Hub       string        `json:"hub"`
	Begun     bool          `json:"begun,omitempty"`     // the server may know of its files
	Transfers []string      `json:"transfers,omitempty"` // the server's ids of it: one, unless it has very many files
	Name      string        `json:"name"`
	Files     int           `json:"files"`
	Size      int64         `json:"size"`
	Policy    string        `json:"policy,omitempty"`
	Rate      int64         `json:"rate,omitempty"` // bit/s; 0: none was wished for
	Rank      int64         `json:"rank,omitempty"` // the highest goes first
	Seq       uint64        `json:"seq"`            // order among equal ranks
	State     queueState    `json:"state"`
	Done      int           `json:"done"` // files and bytes at the server when this was written
	Sent      int64         `json:"sent"`
	Owed      bool          `json:"owed,omitempty"` // cancelled here, and the server was not told yet
	Error     *agentProblem `json:"error,omitempty"`
	Tries     int           `json:"tries,omitempty"` // in a row that failed
	RetryAt   time.Time     `json:"retry_at,omitzero"`
	Created   time.Time     `json:"created"`
	Ended     time.Time     `json:"ended,omitzero"`
}

// queueFile is one file of a job. With a Root, Path is relative to it and must not lead out of it.
type queueFile struct {
	Root    string    `json:"root,omitempty"`
	Path    string    `json:"path"`
	Name    string    `json:"name"` // as the server shall know it; slashes separate folders
	Size    int64     `json:"size"`
	Changed time.Time `json:"changed"`
}

// queuePairing is a browser that may talk to the agent: the key that signs for it, and its only origin.
type queuePairing struct {
	Origin  string            `json:"origin"`
	Key     ed25519.PublicKey `json:"key"`
	Created time.Time         `json:"created"`
}

var (
	bucketJobs     = []byte("jobs")
	bucketFiles    = []byte("files")
	bucketPairings = []byte("pairings")
	bucketAgent    = []byte("agent")
	agentKeyName   = []byte("key")
)

// queue is what the agent keeps over restarts: jobs, pairings and its own key. What a method did is on
// disk when it returns, all of it or nothing. Safe for concurrent use, by one process at a time.
type queue struct{ db *bbolt.DB }

var errQueueBusy = errors.New("another agent runs already for this user: isthmusctl agent status shows it")

// openQueue opens the file, or makes it.
func openQueue(path string) (*queue, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: 300 * time.Millisecond})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, errQueueBusy
	}
	if err != nil {
		return nil, fmt.Errorf("open the queue %s (move it away to begin with an empty one): %w", path, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, b := range [][]byte{bucketJobs, bucketFiles, bucketPairings, bucketAgent} {
			if _, err := tx.CreateBucketIfNotExists(b); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &queue{db}, nil
}

func (q *queue) close() error { return q.db.Close() }

// add stores a new job with its files and gives it its place at the end.
func (q *queue) add(j *queueJob, files []queueFile) error {
	return q.db.Update(func(tx *bbolt.Tx) error {
		seq, err := tx.Bucket(bucketJobs).NextSequence()
		if err != nil {
			return err
		}
		j.Seq = seq
		if err := putJSON(tx.Bucket(bucketFiles), []byte(j.ID), files); err != nil {
			return err
		}
		return putJSON(tx.Bucket(bucketJobs), []byte(j.ID), j)
	})
}

// put stores the present state of jobs that were added before.
func (q *queue) put(jobs ...queueJob) error {
	return q.db.Update(func(tx *bbolt.Tx) error {
		for _, j := range jobs {
			if err := putJSON(tx.Bucket(bucketJobs), []byte(j.ID), j); err != nil {
				return err
			}
		}
		return nil
	})
}

func (q *queue) remove(id string) error {
	return q.db.Update(func(tx *bbolt.Tx) error {
		return errors.Join(tx.Bucket(bucketJobs).Delete([]byte(id)), tx.Bucket(bucketFiles).Delete([]byte(id)))
	})
}

// jobs gives all jobs in the order in which they were added.
func (q *queue) jobs() ([]queueJob, error) {
	all, err := readAll[queueJob](q.db, bucketJobs)
	slices.SortFunc(all, func(a, b queueJob) int { return cmp.Compare(a.Seq, b.Seq) })
	return all, err
}

func (q *queue) files(id string) ([]queueFile, error) {
	var files []queueFile
	err := q.db.View(func(tx *bbolt.Tx) error {
		return json.Unmarshal(tx.Bucket(bucketFiles).Get([]byte(id)), &files)
	})
	return files, err
}

func (q *queue) pair(p queuePairing) error {
	return q.db.Update(func(tx *bbolt.Tx) error { return putJSON(tx.Bucket(bucketPairings), p.Key, p) })
}

func (q *queue) unpair(key ed25519.PublicKey) error {
	return q.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketPairings).Delete(key) })
}

func (q *queue) pairings() ([]queuePairing, error) {
	return readAll[queuePairing](q.db, bucketPairings)
}

// key is the agent's own, by which paired pages know it again; it is made once.
func (q *queue) key() (ed25519.PrivateKey, error) {
	var key ed25519.PrivateKey
	err := q.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketAgent)
		if seed := b.Get(agentKeyName); len(seed) == ed25519.SeedSize {
			key = ed25519.NewKeyFromSeed(seed)
			return nil
		}
		_, made, err := ed25519.GenerateKey(nil)
		if err != nil {
			return err
		}
		key = made
		return b.Put(agentKeyName, made.Seed())
	})
	return key, err
}

func putJSON(b *bbolt.Bucket, key []byte, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return b.Put(key, text)
}

func readAll[T any](db *bbolt.DB, bucket []byte) ([]T, error) {
	var all []T
	err := db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucket).ForEach(func(_, text []byte) error {
			var v T
			if err := json.Unmarshal(text, &v); err != nil {
				return err
			}
			all = append(all, v)
			return nil
		})
	})
	return all, err
}

// syncFolder makes the names in a folder durable, where the system can.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, os.ErrInvalid) || errors.Is(err, errors.ErrUnsupported) || errors.Is(err, os.ErrPermission) {
		err = nil // Windows syncs no folders
	}
	return errors.Join(err, d.Close())
}
