package media_test

import (
	"fmt"
	"os"
)

// helperMain plays the parts of other processes when the test binary is started as one.
func helperMain() {
	if len(os.Args) < 3 {
		return
	}
	var err error
	switch os.Args[1] {
	case "__parent":
		err = parentMain(os.Args[2], os.Args[3])
	case "__writer":
		err = writerMain(os.Args[2], os.Args[3], os.Args[4])
	default:
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
