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
	headMagic    = 0x49534831 // "ISH1": the first record, whose start is the file's size
	compactAfter = 4096       // records, before a journal with few ranges is written anew
)

func appendRecord(b []byte, magic uint32, start, end int64) []byte {
	at := len(b)
	b = binary.BigEndian.AppendUint32(b, magic)
	b = binary.BigEndian.AppendUint64(b, uint64(start))
	b = binary.BigEndian.AppendUint64(b, uint64(end))
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[at:]))
}

func appendHead(b []byte, size int64) []byte { return appendRecord(b, headMagic, size, 0) }

// readRecord gives the next record; false: there is no sound one.
func readRecord(r io.Reader, magic uint32) (start, end int64, ok bool, err error) {
	var rec [recordSize]byte
	if _, err := io.ReadFull(r, rec[:]); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return 0, 0, false, nil
	} else if err != nil {
		return 0, 0, false, err
	}
	ok = binary.BigEndian.Uint32(rec[:]) == magic && binary.BigEndian.Uint32(rec[20:]) == crc32.ChecksumIEEE(rec[:20])
	return int64(binary.BigEndian.Uint64(rec[4:])), int64(binary.BigEndian.Uint64(rec[12:])), ok, nil
}

// readHead gives the file's size, if the journal begins with it.
func readHead(r io.Reader) (size int64, ok bool, err error) {
	size, _, ok, err = readRecord(r, headMagic)
	return size, ok && size >= -1, err
}

// readJournal gives the ranges and how many records are sound.
func readJournal(r io.Reader, size int64) (gateway.Ranges, int, error) {
	var ranges gateway.Ranges
	for n := 0; ; n++ {
		start, end, ok, err := readRecord(r, recordMagic)
		if err != nil {
			return nil, 0, err
		}
		if !ok || start < 0 || end <= start || end > size {
			return ranges, n, nil
		}
		ranges = ranges.Add(start, end)
	}
}

// writeRecords puts records at their place, after n others (not at the end of the file: half-written
// ones from a full disk are overwritten), and makes them durable.
func writeRecords(f *os.File, n int, ranges gateway.Ranges) error {
	if _, err := f.WriteAt(appendRecords(nil, ranges), int64(n)*recordSize); err != nil {
		return err
	}
	return fdatasync(f)
}

func appendRecords(b []byte, ranges gateway.Ranges) []byte {
	for _, r := range ranges {
		b = appendRecord(b, recordMagic, r.Start, r.End)
	}
	return b
}
