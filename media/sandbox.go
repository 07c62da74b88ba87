package media

import (
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// sandboxVerb is the first argument of our own binary when it is the helper.
const sandboxVerb = "__sandbox"

// nobody is the user a root server's media processes run as.
const nobody = 65534

// limits bound one process. All of them are hard.
type limits struct {
	Memory  uint64 // bytes of address space
	CPU     uint64 // seconds
	Output  uint64 // bytes of one file
	Files   uint64 // descriptors
	Threads uint64 // of the process's user, inside its user namespace
}

// confinement says what one process may do.
type confinement struct {
	Exe     string   // absolute
	Args    []string // without the name
	Read    []string // files below Dir that may be read
	Write   []string // folders below Dir in which files may be made
	Limits  limits
	Nice    int
	Unsafe  bool // go on without what this machine cannot do
	Loader  string
	NoLocks bool // Landlock is not there and Unsafe says go on
}

// Protection is what this machine can do to confine a process.
type Protection struct {
	Namespaces bool   `json:"namespaces"` // user, net, pid, ipc, uts
	Landlock   int    `json:"landlock"`   // ABI version, 0 = none
	Seccomp    bool   `json:"seccomp"`
	Missing    string `json:"missing,omitempty"` // in words
}

// Complete tells whether nothing is missing.
func (p Protection) Complete() bool { return p.Namespaces && p.Landlock > 0 && p.Seccomp }

// helperReady says that this program can be its own helper. Without it the helper would be the whole program anew.
var helperReady bool

// SandboxMain turns this process into the sandbox helper when it was started as one, and then
// never returns. Call it first thing in main, and in TestMain of packages that run the pipeline;
// New refuses to work without it.
func SandboxMain() {
	if len(os.Args) < 2 || os.Args[1] != sandboxVerb {
		helperReady = true
		return
	}
	runtime.LockOSThread() // Landlock and seccomp hold for the thread that then becomes the program
	var c confinement
	err := errors.New("no instructions")
	if len(os.Args) == 3 {
		err = json.Unmarshal([]byte(os.Args[2]), &c)
	}
	if err == nil {
		err = become(c)
	}
	fmt.Fprintln(os.Stderr, "sandbox:", err)
	os.Exit(helperFailed)
}

// helperFailed is the exit status of a helper that could not confine itself.
const helperFailed = 125

// command prepares a confined process. Its working folder is dir, which it can use by relative
// names only; the standard streams are the caller's to set.
func (p Protection) command(ctx context.Context, dir *os.File, c confinement) (*exec.Cmd, error) {
	exe, err := filepath.EvalSymlinks(c.Exe)
	if err != nil {
		return nil, err
	}
	c.Exe = exe
	c.Loader = loaderOf(exe)
	c.NoLocks = p.Landlock == 0
	spec, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	// The magic link works also for a user who could not walk to our binary, and after an upgrade.
	cmd := exec.CommandContext(ctx, "/proc/self/exe", sandboxVerb, string(spec))
	cmd.Env = []string{}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // the whole group
	cmd.ExtraFiles = []*os.File{dir}                                                     // descriptor 3
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if p.Namespaces {
		uid, gid := os.Geteuid(), os.Getegid()
		if uid == 0 {
			uid, gid = nobody, nobody
			cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody, NoSetGroups: true}
		}
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID |
			syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS | syscall.CLONE_NEWNS
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
	}
	// A killed process may leave its pipes open in nobody's hands; do not wait for them.
	cmd.WaitDelay = 2 * time.Second
	return cmd, nil
}

// loaderOf gives the dynamic loader that the kernel will run for exe; it needs leave to execute too.
func loaderOf(exe string) string {
	f, err := elf.Open(exe)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP && p.Filesz < 4096 {
			b, err := io.ReadAll(p.Open())
			if err != nil {
				return ""
			}
			return strings.TrimRight(string(b), "\x00")
		}
	}
	return ""
}

// protection finds out by trying, as what the kernel claims and what a container allows differ. It
// stays the same as long as the process lives.
var protection = sync.OnceValue(func() Protection {
	p := Protection{Landlock: landlockABI(), Seccomp: seccompThere()}
	dir, err := os.Open("/")
	if err != nil {
		return Protection{Missing: err.Error()}
	}
	defer dir.Close()
	var missing []string
	p.Namespaces = true
	try := func() error {
		cmd, err := p.command(context.Background(), dir, confinement{Exe: "/proc/self/exe"})
		if err != nil {
			return err
		}
		// An empty program name makes the helper stop after confining itself.
		cmd.Args[2] = `{"Unsafe":true,"NoLocks":true}`
		return cmd.Run()
	}
	if err := try(); err != nil {
		p.Namespaces = false
		missing = append(missing, "user namespaces ("+err.Error()+")")
	}
	if p.Landlock == 0 {
		missing = append(missing, "Landlock")
	}
	if !p.Seccomp {
		missing = append(missing, "seccomp filters")
	}
	p.Missing = strings.Join(missing, ", ")
	return p
})
