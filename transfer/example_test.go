package transfer_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"isthmus/transfer"
)

// oneTicket lets in whoever knows a word.
type oneTicket struct {
	word    string
	uploads []transfer.Upload
}

func (t oneTicket) Open(_ context.Context, token string) (transfer.Grant, error) {
	if token != t.word {
		return transfer.Grant{}, &transfer.Error{Code: transfer.CodeTicket, Text: "ask for another ticket"}
	}
	return transfer.Grant{Uploads: t.uploads}, nil
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A server that keeps files in a folder, and a client that sends one.
func Example() {
	here, there := must(os.MkdirTemp("", "")), must(os.MkdirTemp("", ""))
	defer func() { _, _ = os.RemoveAll(here), os.RemoveAll(there) }()
	if err := os.WriteFile(filepath.Join(here, "clip.mp4"), make([]byte, 300_000), 0o600); err != nil {
		panic(err)
	}

	cert := must(transfer.NewCertificate())
	server := must(transfer.Listen("127.0.0.1:0", transfer.Config{
		Certificate: cert,
		Tickets:     oneTicket{"open sesame", []transfer.Upload{{ID: "upl_1", Name: "clip.mp4", Size: 300_000}}},
		Files:       transfer.OpenDir(there, false),
	}))
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- server.Serve(ctx) }()

	sender := transfer.NewSender(transfer.SenderConfig{
		Ticket: transfer.Ticket{Token: "open sesame", Address: server.Addr().String(), KeyHash: must(transfer.HashKey(cert))},
		Open: func(u transfer.Upload) (transfer.File, error) { // the server says which: only what was offered to it
			if u.ID != "upl_1" {
				return nil, os.ErrNotExist
			}
			return os.Open(filepath.Join(here, "clip.mp4"))
		},
	})
	for _, r := range must(sender.Send(ctx)) {
		fmt.Printf("%s: %d bytes, SHA-256 %x…, %v\n", r.Name, r.Size, r.SHA256[:4], r.Err)
	}
	stop()
	fmt.Println(<-ended)
	// Output:
	// clip.mp4: 300000 bytes, SHA-256 886715e4…, <nil>
	// <nil>
}
