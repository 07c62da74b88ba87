package outbound

import (
	"io"

	"isthmus/gateway"
)

// ReadAll reads at most limit bytes of an answer. TooLarge with reason "answer_too_large" when
// there is more, so that a server cannot fill our memory.
func ReadAll(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, Clean(err)
	}
	if int64(len(b)) > limit {
		return nil, gateway.E(gateway.TooLarge, "answer_too_large", "The other server sent more than we accept.")
	}
	return b, nil
}
