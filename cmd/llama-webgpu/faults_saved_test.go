package main

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestFaultsSaved kills the program while it saves what it has computed of a text. The next run goes on from what was saved
// before or from what was being saved, never from a part of it: its text is always the same.
func TestFaultsSaved(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("has no kill -9 of this kind")
	}
	out := filepath.Join(t.TempDir(), "bundle")
	if text, err := hurried(program(t, "quantize", tiny, "-o", out, "--format", "int4", "--method", "rtn", "--quiet")); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	prompts := []string{strings.Repeat("He had been there before. ", 30), strings.Repeat("It was a cold morning, and she said so. ", 20)}
	path := filepath.Join(t.TempDir(), "saved")
	infer := func(prompt string, more ...string) *exec.Cmd {
		return program(t, append([]string{"infer", out, "--device", "cpu", "--prompt", prompt, "-n", "4", "--temperature", "0", "--no-verify"}, more...)...)
	}
	var want []string
	for _, p := range prompts {
		text, err := infer(p).Output()
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, string(text))
	}
	rnd := rand.New(rand.NewPCG(faultSeed, 3))
	saved, killed, within := false, 0, 0
	for run := 0; (killed < kills || within == 0) && run < 16*kills; run++ { // on a busy machine, kills may come too late
		cmd := infer(prompts[run%2], "--prompt-cache", path)
		after := time.Duration(rnd.Float64() * float64(12*time.Millisecond))
		if run%3 == 0 { // at once, however fast the disk is
			after = 0
		}
		dead, left := killedSaving(t, cmd, path, after)
		if dead {
			killed++
		}
		if left {
			within++
		}
		_, err := os.Stat(path)
		if saved && err != nil {
			t.Fatalf("what was saved before is gone: %v", err)
		}
		saved = err == nil
		cached := readAgain(t, infer(prompts[run%2], "--prompt-cache", path, "--json"), want[run%2])
		if saved && cached == 0 {
			t.Error("a file is there, and nothing was taken from it")
		}
		saved = true // by this run
	}
	t.Logf("killed %d times, %d of them before the file was complete", killed, within)
	if within == 0 {
		t.Error("it was never killed while it was saving")
	}
}

// killedSaving runs a command and kills it some time after it has begun to write a file. It reports whether it was killed, and
// whether the file was not complete; what was left of it is removed.
func killedSaving(t *testing.T, cmd *exec.Cmd, path string, after time.Duration) (killed, within bool) {
	t.Helper()
	partial := func() []string {
		left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".saved.*.partial"))
		if err != nil {
			t.Error(err)
		}
		return left
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	died := make(chan struct{})
	go func() {
		for len(partial()) == 0 {
			select {
			case <-died:
				return
			case <-time.After(200 * time.Microsecond):
			}
		}
		time.Sleep(after)
		_ = cmd.Process.Kill()
	}()
	err := cmd.Wait()
	close(died)
	var exit *exec.ExitError
	killed = errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
	if err != nil && !killed {
		t.Fatalf("it ended by itself: %v", err)
	}
	for _, name := range partial() {
		within = true
		if err := os.Remove(name); err != nil {
			t.Error(err)
		}
	}
	return killed, within
}

// readAgain runs a command that must write a text, and returns how many tokens of it were cached.
func readAgain(t *testing.T, cmd *exec.Cmd, want string) int {
	t.Helper()
	var text strings.Builder
	cmd.Stderr = &text
	data, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, text.String())
	}
	var got struct {
		Text  string
		Stats struct {
			Cached int `json:"cached_tokens"`
		}
	}
	if err := json.Unmarshal(data, &got); err != nil || strings.TrimSpace(got.Text) != strings.TrimSpace(want) {
		t.Errorf("%q (%v), want %q", got.Text, err, want)
	}
	return got.Stats.Cached
}
