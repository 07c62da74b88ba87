package transfer

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"isthmus/transfer/udp"
)

type commonPath struct {
	conn *net.UDPConn
	peer netip.AddrPort
}

// A feedback that cannot be sent is as good as one that was lost: the next one says it again.
func (p *commonPath) send(b []byte) { _, _ = p.conn.WriteToUDPAddrPort(b, p.peer) }
func (p *commonPath) close()        {}

type ownPath struct{ conn *udp.Conn }

func (p *ownPath) send(b []byte) { _, _ = p.conn.UDPConn.Write(b) }
func (p *ownPath) close()        { _ = p.conn.Close() }

const (
	early   = 1 << 20  // bytes of a session are read without naps: the first packets measure the path
	napSize = 64 << 10 // bytes or more at once are work enough to do without

	waitForStore = 10 // ms, then the client is to hear that the storage is behind
)

func (p *ownPath) read(r *receiver) {
	room := min(napSize, p.conn.ReadBuffer()/16)
	for total := 0; ; {
		all, err := p.conn.Read()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			// The peer's system says that nobody listens there; Hello comes from elsewhere, or QUIC times out.
			time.Sleep(time.Millisecond)
			continue
		}
		n := 0
		for _, d := range all {
			n += len(d.Data)
		}
		for i := 0; i < waitForStore && r.store.filling(); i++ {
			time.Sleep(time.Millisecond) // better in the system's buffer than dropped; and the writer may need the processor
		}
		r.packets(p, all)
		// Waking up costs more than a packet: on a slow line some are left to gather.
		if total += n; total > early && n < room && len(all) < udp.ReadBatch {
			time.Sleep(time.Millisecond)
		}
	}
}
