// Command hostile stands in for an ffmpeg that an attacker has taken over. It tries one thing and
// says "SUCCEEDED" or "refused: why".
package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

func call(nr uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	if _, _, e := syscall.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5]); e != 0 {
		return e
	}
	return nil
}

func ptr(s string) uintptr {
	p, _ := syscall.BytePtrFromString(s)
	return uintptr(unsafe.Pointer(p))
}

func read(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	_, err = f.Read(make([]byte, 1))
	return err
}

func list(name string) error { _, err := os.ReadDir(name); return err }

func write(name string) error { return os.WriteFile(name, []byte("x"), 0o644) }

func dial(network, addr string) error {
	c, err := net.DialTimeout(network, addr, time.Second)
	if err != nil {
		return err
	}
	_, err = c.Write([]byte("x"))
	return err
}

// fork makes a process with plain clone and lets it end at once.
func fork(flags uintptr) error {
	pid, _, e := syscall.RawSyscall6(syscall.SYS_CLONE, flags|uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	if e != 0 {
		return e
	}
	if pid == 0 {
		for {
			_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT, 0, 0, 0)
		}
	}
	return nil
}

func try(what, arg string) error {
	switch what {
	case "read-input": // allowed, as a control
		return read("in")
	case "write-output": // allowed, as a control
		return write("out/fine")
	case "read":
		return read(arg)
	case "list":
		return list(arg)
	case "write":
		return write(arg)
	case "overwrite-input":
		f, err := os.OpenFile("in", os.O_RDWR, 0)
		if err != nil {
			return err
		}
		return f.Close()
	case "remove-input":
		return os.Remove("in")
	case "truncate-input":
		return os.Truncate("in", 0)
	case "symlink":
		return os.Symlink(arg, "out/link")
	case "hardlink":
		return os.Link("in", "out/link")
	case "rename-out":
		if err := write("out/mine"); err != nil {
			return err
		}
		return os.Rename("out/mine", "in")
	case "mkdir":
		return os.Mkdir("out/sub", 0o755)
	case "fifo":
		return syscall.Mkfifo("out/fifo", 0o644)
	case "tcp", "udp", "unix":
		return dial(what, arg)
	case "abstract":
		return dial("unix", "@"+arg)
	case "netlink":
		_, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW, 0)
		return err
	case "listen":
		_, err := net.Listen("tcp", "127.0.0.1:0")
		return err
	case "socketpair":
		_, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		return err
	case "exec":
		return syscall.Exec(arg, []string{arg, "-c", "true"}, nil)
	case "exec-written":
		self, err := os.ReadFile(os.Args[0])
		if err == nil {
			err = os.WriteFile("out/prog", self, 0o755)
		}
		if err != nil {
			err = os.WriteFile("out/prog", []byte("#!/bin/sh\n"), 0o755)
		}
		if err != nil {
			return err
		}
		return syscall.Exec("out/prog", []string{"prog"}, nil)
	case "exec-memfd":
		return call(319, ptr("x"), 0)
	case "fork":
		return fork(0)
	case "vfork":
		return fork(syscall.CLONE_VFORK)
	case "clone3":
		args := [11]uint64{0, 0, 0, 0, uint64(syscall.SIGCHLD)}
		return call(435, uintptr(unsafe.Pointer(&args)), 88)
	case "ptrace":
		pid, _ := strconv.Atoi(arg)
		return syscall.PtraceAttach(pid)
	case "traceme":
		return call(syscall.SYS_PTRACE, 0)
	case "kill":
		pid, _ := strconv.Atoi(arg)
		return syscall.Kill(pid, 0)
	case "mount":
		return syscall.Mount("none", "out", "tmpfs", 0, "")
	case "chroot":
		return syscall.Chroot("out")
	case "unshare":
		return syscall.Unshare(syscall.CLONE_NEWUSER)
	case "setuid":
		return call(syscall.SYS_SETUID, 0)
	case "hostname":
		return syscall.Sethostname([]byte("owned"))
	case "bpf":
		return call(321, 0, 0, 0)
	case "perf":
		return call(298, 0, 0, 0, 0, 0)
	case "keyctl":
		return call(250, 0, 0, 0)
	case "userfaultfd":
		return call(323, 0)
	case "io_uring":
		var params [120]byte
		return call(425, 1, uintptr(unsafe.Pointer(&params)))
	case "handle":
		return call(304, 0, 0, 0)
	case "device":
		f, err := os.OpenFile(arg, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		return f.Close()
	case "descriptors": // anything inherited beyond the standard three
		for fd := uintptr(3); fd < 64; fd++ {
			var st syscall.Stat_t
			if syscall.Fstat(int(fd), &st) == nil && st.Mode&syscall.S_IFMT != 0 {
				return nil
			}
		}
		return fmt.Errorf("none")
	case "environment":
		if len(os.Environ()) > 0 {
			return nil
		}
		return fmt.Errorf("empty")
	case "memory":
		b, err := syscall.Mmap(-1, 0, 4<<30, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		if err == nil {
			b[0] = 1
		}
		return err
	case "output":
		f, err := os.Create("out/big")
		if err != nil {
			return err
		}
		b := make([]byte, 1<<20)
		for range 64 {
			if _, err := f.Write(b); err != nil {
				return err
			}
		}
		return f.Close()
	case "files":
		for i := range 200 {
			if _, err := os.Create(filepath.Join("out", "f"+strconv.Itoa(i))); err != nil {
				return err
			}
		}
		return nil
	case "spin":
		for {
			_ = what
		}
	case "sleep":
		fmt.Println("sleeping")
		time.Sleep(time.Hour)
	}
	return fmt.Errorf("unknown action %q", what)
}

// pose plays an ffmpeg that fails in some way, by the name it was started under.
func pose(as string) {
	switch as {
	case "as-sleep":
		time.Sleep(time.Hour)
	case "as-crash":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		*(*int)(unsafe.Pointer(uintptr(1))) = 1 //nolint:govet // that is the point
	case "as-fail":
		fmt.Fprintln(os.Stderr, "Invalid data found\x1b[31m when processing input")
	case "as-full":
		fmt.Fprintln(os.Stderr, "av_interleaved_write_frame(): No space left on device")
	case "as-link": // ends well, but has left a folder where files should be
		for _, name := range os.Args {
			if strings.HasPrefix(name, "out/") {
				_ = write(name)
			}
		}
		_ = write("out/manifest.mpd")
		os.Exit(0)
	}
	os.Exit(1)
}

func main() {
	if as := filepath.Base(os.Args[0]); strings.HasPrefix(as, "as-") {
		pose(as)
	}
	arg := ""
	if len(os.Args) > 2 {
		arg = strings.Join(os.Args[2:], " ")
	}
	if err := try(os.Args[1], arg); err != nil {
		fmt.Println("refused:", err)
		return
	}
	fmt.Println("SUCCEEDED")
}
