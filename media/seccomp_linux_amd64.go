package media

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_X86_64

// Older calls that only this architecture has.
var deniedHere = []uintptr{
	unix.SYS_FORK, unix.SYS_VFORK, unix.SYS_MKNOD, unix.SYS_IOPL, unix.SYS_IOPERM, unix.SYS_MODIFY_LDT, unix.SYS_USELIB, unix.SYS_KEXEC_FILE_LOAD,
}
