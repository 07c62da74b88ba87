package main

import (
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"
)

var discardLog = log.New(io.Discard, "", 0)

// faultRow is one line of the fault table.
type faultRow struct {
	anchor, fault, saw, lost string
	recovery                 time.Duration // 0 = there was nothing to recover from
}

// faultTable collects what the tests of bad days found. TestMain prints it once at the end, and
// writes it into the folder that ISTHMUS_REPORTS names.
var faultTable struct {
	sync.Mutex
	rows []faultRow
}

func reportFault(r faultRow) {
	faultTable.Lock()
	defer faultTable.Unlock()
	faultTable.rows = append(faultTable.rows, r)
}

func printFaults() {
	if len(faultTable.rows) == 0 {
		return
	}
	sort.SliceStable(faultTable.rows, func(i, j int) bool { return faultTable.rows[i].anchor < faultTable.rows[j].anchor })
	var b strings.Builder
	b.WriteString("| row | fault | what the user saw | what was lost | time to recover |\n|---|---|---|---|---|\n")
	for _, r := range faultTable.rows {
		recovery := "–"
		if r.recovery > 0 {
			recovery = fmt.Sprintf("%.1f s", r.recovery.Seconds())
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.anchor, r.fault, r.saw, r.lost, recovery)
	}
	fmt.Print("\nFault table\n\n" + b.String() + "\n")
	if dir := os.Getenv("ISTHMUS_REPORTS"); dir != "" { // shown at the end of `make test`
		if err := os.WriteFile(filepath.Join(dir, "faults.txt"), []byte(b.String()), 0o600); err != nil {
			fmt.Println(err)
		}
	}
}
