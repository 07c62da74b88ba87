package media

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What the dynamic loader and the libraries need. Nothing here holds a secret.
var systemRead = []string{"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/dev/urandom", "/dev/null"}

// Access rights by the Landlock version that brought them; each version handles all up to it.
const (
	accessFile  = unix.LANDLOCK_ACCESS_FS_READ_FILE
	accessRead  = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	accessWrite = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR |
		unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE
	accessABI1 = 1<<13 - 1
)

// become confines this thread and then turns it into the program. It returns only on failure,
// or with nil instructions (no Exe) exits with 0.
func become(c confinement) error {
	if err := unix.Fchdir(3); err != nil {
		return fmt.Errorf("work folder: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	if c.Nice != 0 {
		// Refused with EACCES when the server itself was started nicer than this.
		if err := unix.Setpriority(unix.PRIO_PROCESS, 0, c.Nice); err != nil && err != unix.EACCES {
			return fmt.Errorf("nice: %w", err)
		}
		// Idle for the disk where the scheduler knows such a thing: advice, so a refusal is no matter.
		_, _, _ = unix.RawSyscall(unix.SYS_IOPRIO_SET, 1, 0, 2<<13|7)
	}
	if c.Exe == "" {
		syscall.Exit(0) // there is nothing to tidy up, and os.Exit waits a second under the race detector
	}
	if !c.NoLocks {
		if err := landlock(c); err != nil {
			return fmt.Errorf("landlock: %w", err)
		}
	} else if !c.Unsafe {
		return errors.New("landlock is not there")
	}
	// Everything that allocates must be done before the address space is limited.
	argv0, err := syscall.BytePtrFromString(c.Exe)
	if err != nil {
		return err
	}
	argv, err := syscall.SlicePtrFromStrings(append([]string{filepath.Base(c.Exe)}, c.Args...))
	if err != nil {
		return err
	}
	envv := []*byte{nil}
	if _, _, e := unix.RawSyscall(unix.SYS_CLOSE_RANGE, 3, ^uintptr(0)>>33, unix.CLOSE_RANGE_CLOEXEC); e != 0 {
		return fmt.Errorf("close_range: %w", e)
	}
	filter := seccompFilter()
	for _, l := range []struct {
		what  int
		value uint64
	}{
		{unix.RLIMIT_CORE, 0},
		{unix.RLIMIT_CPU, c.Limits.CPU},
		{unix.RLIMIT_FSIZE, c.Limits.Output},
		{unix.RLIMIT_NOFILE, c.Limits.Files},
		{unix.RLIMIT_NPROC, c.Limits.Threads},
		{unix.RLIMIT_AS, c.Limits.Memory},
	} {
		if l.value == 0 && l.what != unix.RLIMIT_CORE {
			continue
		}
		lim := unix.Rlimit{Cur: l.value, Max: l.value}
		if _, _, e := unix.RawSyscall6(unix.SYS_PRLIMIT64, 0, uintptr(l.what), uintptr(unsafe.Pointer(&lim)), 0, 0, 0); e != 0 {
			return e
		}
	}
	if e := installFilter(filter); e != 0 && !c.Unsafe {
		return e
	}
	_, _, e := unix.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(argv0)),
		uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&envv[0])))
	runtime.KeepAlive(argv)
	return e
}

func landlockABI() int {
	v, _, e := unix.RawSyscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if e != 0 {
		return 0
	}
	return int(v)
}

// landlock leaves this thread with the files of c and nothing else. Raw system calls, because the
// Go library changes all threads through /proc, which spins for ever in a new PID namespace.
func landlock(c confinement) error {
	abi := landlockABI()
	attr := struct{ fs, net, scoped uint64 }{fs: accessABI1}
	size := uintptr(8)
	if abi >= 2 {
		attr.fs |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if abi >= 3 {
		attr.fs |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if abi >= 4 {
		attr.net, size = unix.LANDLOCK_ACCESS_NET_BIND_TCP|unix.LANDLOCK_ACCESS_NET_CONNECT_TCP, 16
	}
	if abi >= 5 {
		attr.fs |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	if abi >= 6 {
		attr.scoped, size = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET|unix.LANDLOCK_SCOPE_SIGNAL, 24
	}
	fd, _, e := unix.RawSyscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), size, 0)
	if e != 0 {
		return e
	}
	allow := func(name string, access uint64, must bool) error {
		f, err := unix.Open(name, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			if must {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		}
		defer func() { _ = unix.Close(f) }() // an O_PATH descriptor has nothing to lose
		var st unix.Stat_t
		if err := unix.Fstat(f, &st); err != nil {
			return err
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			access &= unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_TRUNCATE
		}
		// struct landlock_path_beneath_attr is packed: 8 bytes of access, 4 of descriptor.
		rule := struct {
			access uint64
			fd     int32
			_      int32
		}{access & attr.fs, int32(f), 0}
		if _, _, e := unix.RawSyscall6(unix.SYS_LANDLOCK_ADD_RULE, fd, unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0); e != 0 {
			return fmt.Errorf("%s: %w", name, e)
		}
		return nil
	}
	var errs []error
	for _, name := range systemRead {
		errs = append(errs, allow(name, accessRead, false))
	}
	errs = append(errs, allow("/dev/null", unix.LANDLOCK_ACCESS_FS_WRITE_FILE|accessFile, false))
	errs = append(errs, allow(c.Exe, accessFile|unix.LANDLOCK_ACCESS_FS_EXECUTE, true))
	if c.Loader != "" {
		errs = append(errs, allow(c.Loader, accessFile|unix.LANDLOCK_ACCESS_FS_EXECUTE, true))
	}
	for _, name := range c.Read {
		errs = append(errs, allow(name, accessFile, true))
	}
	for _, name := range c.Write {
		errs = append(errs, allow(name, accessWrite, true))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if _, _, e := unix.RawSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); e != 0 {
		return e
	}
	return unix.Close(int(fd))
}
