// Command proxy makes an emulator of Azure Cosmos DB look like an account with regions, counts what is asked of it and what
// that costs, and strikes when it is told to. It brings up an emulator of its own if it is given none.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"conformance/cosmos/account"
	"conformance/cosmos/emulator"
	"conformance/cosmos/service"
)

type settings struct {
	options account.Options
	regions string
	ports   string
	keyFile string
	control string
}

func main() {
	var s settings
	flag.StringVar(&s.options.Upstream, "emulator", "", "the emulator's address; one is brought up if empty")
	flag.StringVar(&s.regions, "regions", "West Europe,North Europe", "the account's regions; the first takes writes")
	flag.IntVar(&s.options.Port, "port", 0, "the account's own port, behind which the write region is; a free one if 0")
	flag.StringVar(&s.ports, "ports", "", "the regions' ports, in the same order; free ones if empty")
	flag.StringVar(&s.options.Consistency, "consistency", account.Strong, "Strong, BoundedStaleness, Session, …")
	flag.BoolVar(&s.options.MultipleWrites, "multiple-writes", false, "every region takes writes")
	flag.DurationVar(&s.options.Delay, "delay", 0, "what the way to the service takes, there and back")
	flag.StringVar(&s.keyFile, "key-file", "", "where the account's key is, or is put if there is none; nobody needs one if empty")
	flag.Float64Var(&s.options.Throughput, "throughput", 0, "request units a second that are granted; 0 is without limit")
	flag.IntVar(&s.options.Page, "page", 0, "the most items of a page; 0 is without limit")
	flag.Uint64Var(&s.options.Seed, "seed", 1, "of what is struck by chance")
	flag.StringVar(&s.control, "control", "127.0.0.1:0", "where commands are taken")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, s)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "proxy:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) error {
	var err error
	s.options.Regions = strings.Split(s.regions, ",")
	if s.options.Ports, err = numbers(s.ports); err != nil {
		return err
	}
	if s.keyFile != "" {
		if s.options.Key, err = keyFrom(s.keyFile); err != nil {
			return err
		}
	}
	if s.options.Upstream == "" {
		e, err := emulator.Start()
		if err != nil {
			return err
		}
		defer e.Stop()
		s.options.Upstream = e.URL
	}
	a, err := account.New(s.options)
	if err != nil {
		return err
	}
	defer a.Close()
	fmt.Printf("account %s\n", a.URL())
	for _, r := range a.Regions() {
		fmt.Printf("region %s %s\n", r.Address(), r.Name)
	}
	return serve(ctx, a, s.control)
}

// serve takes commands until ctx ends.
func serve(ctx context.Context, a *account.Account, address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Printf("control http://%s\nready\n", listener.Addr())
	server := &http.Server{Handler: a.Control(), ReadHeaderTimeout: time.Minute}
	context.AfterFunc(ctx, func() { server.Close() })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func numbers(list string) ([]int, error) {
	var all []int
	for _, each := range strings.FieldsFunc(list, func(c rune) bool { return c == ',' }) {
		var number int
		if _, err := fmt.Sscanf(each, "%d", &number); err != nil {
			return nil, fmt.Errorf("%q is no port", each)
		}
		all = append(all, number)
	}
	return all, nil
}

// keyFrom reads a key, and makes one if the file is not there.
func keyFrom(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(text)), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	key := service.NewKey()
	return key, service.WriteKey(path, key)
}
