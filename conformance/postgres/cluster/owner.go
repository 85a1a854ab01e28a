package cluster

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// owner is the user that PostgreSQL runs as: it refuses root.
type owner struct {
	name     string
	uid, gid int
	// other is set when it is not who runs this program.
	other bool
}

func findOwner() (owner, error) {
	if os.Geteuid() != 0 {
		current, err := user.Current()
		if err != nil {
			return owner{}, err
		}
		return owner{name: current.Username, uid: os.Geteuid(), gid: os.Getegid()}, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		return owner{}, fmt.Errorf("%w (conformance/postgres/install.sh makes it)", err)
	}
	uid, err := strconv.Atoi(account.Uid)
	if err != nil {
		return owner{}, err
	}
	gid, err := strconv.Atoi(account.Gid)
	return owner{name: account.Username, uid: uid, gid: gid, other: true}, err
}

func (o owner) credential() *syscall.Credential {
	if !o.other {
		return nil
	}
	return &syscall.Credential{Uid: uint32(o.uid), Gid: uint32(o.gid)}
}

func (o owner) give(path string) error {
	if !o.other {
		return nil
	}
	return os.Chown(path, o.uid, o.gid)
}

// environment keeps configuration, state and sockets of everything in the cluster's directory.
func (o owner) environment(dir, home string) []string {
	binaries, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.Sort(binaries)
	// The newest that has the extension; install.sh sees to it that one has.
	for _, binary := range slices.Backward(binaries) {
		version := filepath.Base(filepath.Dir(binary))
		if _, err := os.Stat("/usr/share/postgresql/" + version + "/extension/pgautofailover.control"); err == nil {
			binaries = []string{binary}
			break
		}
	}
	return []string{
		"PATH=" + strings.Join(append(binaries, "/usr/bin", "/bin"), ":"),
		"HOME=" + home, "XDG_CONFIG_HOME=" + filepath.Join(home, "config"),
		"XDG_DATA_HOME=" + filepath.Join(home, "share"), "XDG_RUNTIME_DIR=" + filepath.Join(home, "run"),
		"PG_REGRESS_SOCK_DIR=" + dir, "PGHOST=" + dir, "LC_ALL=C.UTF-8", "USER=" + o.name, "PGUSER=" + o.name,
	}
}

// PIDs are all processes of the node: keeper, postmaster, backends.
func (n *Node) PIDs() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		// A process may be gone, or somebody else's.
		dir, err := os.Readlink(filepath.Join("/proc", entry.Name(), "cwd"))
		if err == nil && (dir == n.dir || strings.HasPrefix(dir, n.dir+"/")) {
			pids = append(pids, pid)
		}
	}
	return pids
}
