package clock

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestOneProcessHasAnotherTime(t *testing.T) {
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("there is no C compiler")
	}
	dir := t.TempDir()
	library, err := Build(dir)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "clock")
	for _, off := range []time.Duration{0, 36 * time.Hour, -90 * time.Minute} {
		if err := Set(file, off); err != nil {
			t.Fatal(err)
		}
		date := exec.Command("date", "+%s")
		date.Env = append(os.Environ(), Environment(library, file)...)
		said, err := date.Output()
		if err != nil {
			t.Fatal(err)
		}
		seconds, err := strconv.ParseInt(strings.TrimSpace(string(said)), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if wrong := time.Until(time.Unix(seconds, 0)) - off; wrong.Abs() > 3*time.Second {
			t.Errorf("set off by %v, it is off by %v more", off, wrong)
		}
	}
}
