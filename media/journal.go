package media

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"

	"isthmus/gateway"
)

// The journal of a staged file says which ranges are on disk. It is a row of fixed records, each
// with its own checksum: a record is written only after its data was synced, and a tail torn by a
// crash is told by the checksum and cut off.
const (
	recordSize   = 24
	recordMagic  = 0x49534a31 // "ISJ1"
	compactAfter = 4096       // records, before a journal with few ranges is written anew
)

func appendRecord(b []byte, start, end int64) []byte {
	at := len(b)
	b = binary.BigEndian.AppendUint32(b, recordMagic)
	b = binary.BigEndian.AppendUint64(b, uint64(start))
	b = binary.BigEndian.AppendUint64(b, uint64(end))
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[at:]))
}

// readJournal gives the ranges and how many records are sound.
func readJournal(r io.Reader, size int64) (gateway.Ranges, int, error) {
	var ranges gateway.Ranges
	var rec [recordSize]byte
	for n := 0; ; n++ {
		if _, err := io.ReadFull(r, rec[:]); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return ranges, n, nil
			}
			return nil, 0, err
		}
		start, end := int64(binary.BigEndian.Uint64(rec[4:])), int64(binary.BigEndian.Uint64(rec[12:]))
		if binary.BigEndian.Uint32(rec[:]) != recordMagic || binary.BigEndian.Uint32(rec[20:]) != crc32.ChecksumIEEE(rec[:20]) ||
			start < 0 || end <= start || end > size {
			return ranges, n, nil
		}
		ranges = ranges.Add(start, end)
	}
}

// writeRecords puts records at their place, after n others (not at the end of the file: half-written
// ones from a full disk are overwritten), and makes them durable.
func writeRecords(f *os.File, n int, ranges gateway.Ranges) error {
	if _, err := f.WriteAt(recordsOf(ranges), int64(n)*recordSize); err != nil {
		return err
	}
	return fdatasync(f)
}

func recordsOf(ranges gateway.Ranges) []byte {
	b := make([]byte, 0, len(ranges)*recordSize)
	for _, r := range ranges {
		b = appendRecord(b, r.Start, r.End)
	}
	return b
}
