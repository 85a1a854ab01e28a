package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Step is one request.
type Step struct {
	Method string
	Path   string
	// Headers are "Name: value".
	Headers []string
	// Body may name what was remembered: $lease.
	Body string
	// Say makes it a WebSocket, on which these are said.
	Say []string
	// Lines makes it a stream, of which so many lines are read; one that gives fewer is left after
	// a while.
	Lines int
	// Unordered says that etcd sends the lines in any order.
	Unordered bool
	// During are asked once the first line was read.
	During []Step
	// Remember says what of the answer later requests need.
	Remember string
}

func (s Step) String() string {
	body := s.Body + strings.Join(s.Say, " ")
	if len(body) > 200 {
		body = fmt.Sprintf("%s... (%d bytes)", body[:200], len(body))
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s %s %s", s.Method, s.Path, strings.Join(s.Headers, ", "), body))
}

// Answer is what came back, made comparable.
type Answer struct {
	Status  int
	Headers []string
	Body    string
}

func (a Answer) String() string {
	return fmt.Sprintf("%d %s\n%s", a.Status, strings.Join(a.Headers, " "), a.Body)
}

// IsLater tells whether the method is said to come with a later version.
func (a Answer) IsLater() bool {
	return strings.Contains(a.Body, "is not implemented yet: a later version has it")
}

// patience is how long a stream may take to say what it is to say.
const patience = 1500 * time.Millisecond

var client = http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// ask sends one request.
func ask(endpoint string, step Step, memory *Memory) (Answer, error) {
	if step.Say != nil {
		return talk(endpoint, step, memory)
	}
	limit := 20 * time.Second
	if step.Lines > 0 {
		limit = patience
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	body := strings.NewReader(memory.fill(step.Body))
	request, err := http.NewRequestWithContext(ctx, step.Method, "http://"+endpoint+step.Path, body)
	if err != nil {
		return Answer{}, err
	}
	request.Header.Set("Accept", "*/*")
	for _, header := range step.Headers {
		name, value, _ := strings.Cut(header, ": ")
		request.Header.Add(name, memory.fill(value))
	}
	response, err := client.Do(request)
	if step.Lines > 0 && errors.Is(err, context.DeadlineExceeded) {
		return Answer{Body: "nothing"}, nil
	}
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	answer := Answer{Status: response.StatusCode, Headers: headers(response)}
	if response.StatusCode == http.StatusSwitchingProtocols {
		return answer, nil
	}
	if step.Lines == 0 {
		text, err := io.ReadAll(response.Body)
		memory.take(step.Remember, string(text))
		answer.Body = canonical(string(text))
		return answer, err
	}
	answer.Body, err = lines(endpoint, step, response.Body, memory)
	if step.Unordered {
		all := strings.SplitAfter(answer.Body, "\n")
		slices.Sort(all)
		answer.Body = strings.Join(all, "")
	}
	return answer, err
}

// lines reads as much of a stream as is wanted, or as comes.
func lines(endpoint string, step Step, body io.Reader, memory *Memory) (string, error) {
	reader := bufio.NewReader(body)
	var text strings.Builder
	for number := range step.Lines {
		line, err := reader.ReadString('\n')
		text.WriteString(canonical(line))
		if err != nil {
			if errors.Is(err, io.EOF) {
				text.WriteString("the end")
			}
			break
		}
		if number > 0 {
			continue
		}
		for _, more := range step.During {
			answer, err := ask(endpoint, more, memory)
			if err != nil {
				return "", fmt.Errorf("%s: %w", more, err)
			}
			if answer.Status != http.StatusOK {
				return "", fmt.Errorf("%s: %s", more, answer)
			}
		}
	}
	return text.String(), nil
}

// headers lists those that mean something.
func headers(response *http.Response) []string {
	var all []string
	for name, values := range response.Header {
		if name != "Date" && name != "Content-Length" {
			all = append(all, fmt.Sprint(name, values))
		}
	}
	slices.Sort(all)
	return all
}
