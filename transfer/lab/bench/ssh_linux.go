package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"isthmus/transfer/lab"
)

const sshPort = 2222

// sshd is the path of the program: it insists on being started by that.
func sshd() string {
	if path, err := exec.LookPath("sshd"); err == nil {
		return path
	}
	return "/usr/sbin/sshd"
}

// startSSHD starts a server with keys of its own, all files of it beside dir.
func startSSHD(ctx context.Context, namespace, host, dir string) (*process, ready, error) {
	at := ready{Addr: net.JoinHostPort(host, strconv.Itoa(sshPort))}
	for _, name := range []string{"host", "user"} {
		if out, err := exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", dir+"."+name).CombinedOutput(); err != nil {
			return nil, at, fmt.Errorf("ssh-keygen: %w: %s", err, out)
		}
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // sshd as root wants it
		return nil, at, err
	}
	conf := fmt.Sprintf(`ListenAddress %s:%d
HostKey %s.host
AuthorizedKeysFile %s.user.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
LogLevel ERROR
Subsystem sftp internal-sftp
`, host, sshPort, dir, dir)
	if err := os.WriteFile(dir+".conf", []byte(conf), 0o600); err != nil {
		return nil, at, err
	}
	p, err := start(namespace, sshd(), "-D", "-e", "-f", dir+".conf")
	if err != nil {
		return nil, at, err
	}
	for range 50 { // until it listens
		var c net.Conn
		dial := func() (err error) { c, err = net.DialTimeout("tcp", at.Addr, time.Second); return err }
		if namespace == "" {
			err = dial()
		} else {
			err = lab.Within(namespace, dial)
		}
		if err == nil {
			return p, at, c.Close()
		}
		if p.over(100 * ms) {
			break
		}
	}
	p.end()
	return nil, at, errors.Join(err, fmt.Errorf("sshd: %s", p.errors.text()))
}

func startSCP(namespace string, at ready, file, dir string) (*process, error) {
	host, port, err := net.SplitHostPort(at.Addr)
	if err != nil {
		return nil, err
	}
	me, err := user.Current()
	if err != nil {
		return nil, err
	}
	return start(namespace, "scp", "-q", "-B", "-P", port, "-i", dir+".user", "-F", "none",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
		file, me.Username+"@"+host+":"+filepath.Join(dir, "0"))
}

// fileSize is how far scp is: it writes from the beginning to the end.
func fileSize(dir string) int64 {
	st, err := os.Stat(filepath.Join(dir, "0"))
	if err != nil {
		return 0
	}
	return st.Size()
}
