package gateway

import (
	"container/list"
	"sync"
)

// lru keeps the last used values, at most max of them. Safe for concurrent use; the zero value with
// max set is ready.
type lru[V any] struct {
	max   int
	mu    sync.Mutex
	order *list.List // newest first, of lruEntry
	byKey map[string]*list.Element
}

type lruEntry[V any] struct {
	key   string
	value V
}

func (c *lru[V]) put(key string, v V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byKey == nil {
		c.order, c.byKey = list.New(), map[string]*list.Element{}
	}
	if e, ok := c.byKey[key]; ok {
		e.Value = lruEntry[V]{key, v}
		c.order.MoveToFront(e)
		return
	}
	c.byKey[key] = c.order.PushFront(lruEntry[V]{key, v})
	if c.order.Len() > c.max {
		last := c.order.Back()
		c.order.Remove(last)
		delete(c.byKey, last.Value.(lruEntry[V]).key)
	}
}

func (c *lru[V]) get(key string) (v V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[key]
	if !ok {
		return v, false
	}
	c.order.MoveToFront(e)
	return e.Value.(lruEntry[V]).value, true
}
