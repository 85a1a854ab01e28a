package replicas

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// echo answers every line with itself, and tells what it got.
func echo(t *testing.T) (address string, got chan string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	got = make(chan string, 100)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				lines := bufio.NewScanner(conn)
				for lines.Scan() {
					got <- lines.Text()
					io.WriteString(conn, lines.Text()+"\n")
				}
			}()
		}
	}()
	return listener.Addr().String(), got
}

// ask says a line and returns what is answered within a moment.
func ask(conn net.Conn, line string) (string, error) {
	if _, err := io.WriteString(conn, line+"\n"); err != nil {
		return "", err
	}
	if err := conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		return "", err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(answer), err
}

func heard(got chan string) string {
	select {
	case line := <-got:
		return line
	case <-time.After(100 * time.Millisecond):
		return ""
	}
}

func TestEachCutLosesItsDirectionAndNothingPassesAfterAGap(t *testing.T) {
	target, got := echo(t)
	for how, arrives := range map[Cut]bool{Swallowed: false, Deaf: false, Mute: true} {
		p, err := NewProxy(target)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", p.Address())
		if err != nil {
			t.Fatal(err)
		}
		if answer, err := ask(conn, "before"); err != nil || answer != "before" || heard(got) != "before" {
			t.Fatalf("%v: %q, %v", how, answer, err)
		}
		p.Set(how)
		if answer, err := ask(conn, "meanwhile"); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%v: answered %q, %v", how, answer, err)
		}
		if there := heard(got) == "meanwhile"; there != arrives {
			t.Errorf("%v: it arrived: %v", how, there)
		}
		p.Set(Through)
		if answer, err := ask(conn, "after"); err == nil {
			t.Errorf("%v: %q passed after a gap", how, answer)
		}
		p.Close()
	}
}

func TestOnlyTheNamedCallerIsCut(t *testing.T) {
	target, got := echo(t)
	p, err := NewProxy(target)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	callers := make(chan string, 2)
	p.caller = func(net.Addr) string { return <-callers }
	var conns []net.Conn
	for _, name := range []string{"m1", "m2"} {
		callers <- name
		conn, err := net.Dial("tcp", p.Address())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ask(conn, name); err != nil || heard(got) != name {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	p.Set(Refused, "m1")
	if answer, err := ask(conns[0], "m1"); err == nil {
		t.Errorf("m1 is answered %q", answer)
	}
	if answer, err := ask(conns[1], "m2"); err != nil {
		t.Errorf("m2: %q, %v", answer, err)
	}
}

func TestASocketOfThisProcessIsFound(t *testing.T) {
	target, _ := echo(t)
	conn, err := net.Dial("tcp", target)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if inodeOf(conn.LocalAddr()) == "" {
		t.Error("its own end is not found")
	}
}
