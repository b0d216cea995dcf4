package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
)

// The campaign kills, starves and misleads the program as a process of its own. KILLS says how often
// it is killed (make faults: 50), PROGRAM which binary runs; without it this test's own is the
// program. Figures go to the log.
var (
	kills      = numberOf("KILLS", 8)
	faultSeed  = uint64(numberOf("SEED", 1))
	quantizing = []string{"--format", "int4", "--embed-format", "int4", "--max-shard-size", "700KB", "--override", "down_proj=int8:32", "--threads", "1", "--quiet"}
)

func numberOf(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// program is the command line of the program.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	name := os.Getenv("PROGRAM")
	if name == "" {
		name = "llama-webgpu" // TestMain has put it into PATH
	}
	return exec.Command(name, args...)
}

// quantizeTiny is a conversion of the embedded model to out.
func quantizeTiny(t *testing.T, in, out string, more ...string) *exec.Cmd {
	return program(t, append(append([]string{"quantize", "-i", in, "-o", out}, quantizing...), more...)...)
}

// hurried runs a command and returns how it ended and what it wrote to standard error.
func hurried(cmd *exec.Cmd) (string, error) {
	var text bytes.Buffer
	cmd.Stderr = &text
	err := cmd.Run()
	return text.String(), err
}

// wholeBundle converts without trouble and returns the files, and how long it took.
func wholeBundle(t *testing.T) (map[string][]byte, time.Duration) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	begun := time.Now()
	if text, err := hurried(quantizeTiny(t, tiny, out)); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	took := time.Since(begun)
	return readAll(t, out), took
}

func readAll(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// sameFiles compares a directory with what it is to hold.
func sameFiles(t *testing.T, dir string, want map[string][]byte) {
	t.Helper()
	got := readAll(t, dir)
	for name, data := range want {
		if !bytes.Equal(got[name], data) {
			t.Errorf("%s: %s differs from that of a run in one go", dir, name)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d files, want %d", dir, len(got), len(want))
	}
}

// unfinished looks at what a killed run left: nothing that looks finished.
func unfinished(t *testing.T, out string) {
	t.Helper()
	if _, err := os.Stat(out); errors.Is(err, os.ErrNotExist) {
		return
	}
	if text, err := hurried(program(t, "inspect", out, "--check", "--quiet")); err != nil {
		t.Errorf("%s is there and is not whole: %s", out, text)
	}
}

// TestFaultsKill kills the program at random moments until, resumed each time, it ends.
func TestFaultsKill(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("has no kill -9 of this kind")
	}
	want, took := wholeBundle(t)
	rnd := rand.New(rand.NewPCG(faultSeed, 9))
	var done, runs, resumed, finished int
	for done < kills {
		out := filepath.Join(t.TempDir(), "out")
		for {
			runs++
			cmd := quantizeTiny(t, tiny, out, "--resume")
			var text bytes.Buffer
			cmd.Stderr = &text
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			timer := time.AfterFunc(time.Duration(rnd.Float64()*1.2*float64(took)), func() { _ = cmd.Process.Kill() })
			err := cmd.Wait()
			if timer.Stop(); err == nil {
				break
			}
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				if _, gone := os.Stat(out); gone == nil { // killed after all was done: another run refuses to replace it
					finished++
					break
				}
				t.Fatalf("it ended by itself: %v: %s", err, text.String())
			}
			done++
			resumed += wholeTensors(out)
			unfinished(t, out)
		}
		sameFiles(t, out, want)
		if left, _ := os.ReadDir(filepath.Dir(out)); len(left) > 1 && finished == 0 {
			t.Errorf("left behind: %v", left)
		}
	}
	t.Logf("killed %d times in %d runs of up to %v: every bundle is that of a run in one go; %d whole tensors were taken over; %d kills came after the end",
		done, runs, took.Round(time.Millisecond), resumed, finished)
}

// wholeTensors counts the tensors that a journal says are whole.
func wholeTensors(out string) int {
	data, _ := os.ReadFile(filepath.Join(filepath.Dir(out), ".out.partial", "journal")) // nothing: 0
	return strings.Count(string(data), ` {"tensor":`)
}

// TestFaultsTerm asks the program to end.
func TestFaultsTerm(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("has no signals")
	}
	want, took := wholeBundle(t)
	for name, sig := range map[string]os.Signal{"SIGINT": os.Interrupt, "SIGTERM": syscall.SIGTERM} {
		out := filepath.Join(t.TempDir(), "out")
		for wait := took / 2; ; wait = wait * 9 / 10 {
			cmd := quantizeTiny(t, tiny, out)
			var text bytes.Buffer
			cmd.Stderr = &text
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(wait)
			_ = cmd.Process.Signal(sig)
			if err := cmd.Wait(); err == nil { // too late
				if err := os.RemoveAll(out); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if _, err := os.Stat(out); err == nil || !strings.Contains(text.String(), "interrupted") && text.Len() > 0 {
				t.Errorf("%s: %s", name, text.String())
			}
			break
		}
		if text, err := hurried(quantizeTiny(t, tiny, out, "--resume")); err != nil {
			t.Fatalf("%s: %s", name, text)
		}
		sameFiles(t, out, want)
	}
}

// TestFaultsFullDisk lets files grow only so far, as a disk that is full at that point does.
func TestFaultsFullDisk(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil || runtime.GOOS == "windows" {
		t.Skip("wants bash for ulimit")
	}
	want, _ := wholeBundle(t)
	name := os.Getenv("PROGRAM")
	if name == "" {
		name = "llama-webgpu"
	}
	stops := 0
	for _, blocks := range []int{16, 300, 540, 580, 620} { // of 1024 bytes
		out := filepath.Join(t.TempDir(), "out")
		args := quantizeTiny(t, tiny, out).Args[1:]
		cmd := exec.Command("bash", append([]string{"-c", fmt.Sprintf(`ulimit -f %d && exec "$0" "$@"`, blocks), name}, args...)...)
		text, err := hurried(cmd)
		if err == nil || !strings.Contains(text, "file too large") {
			t.Errorf("files of %d KiB: %v: %s", blocks, err, text)
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("files of %d KiB: there is an output", blocks)
		}
		if wholeTensors(out) > 0 {
			stops++
			if !strings.Contains(text, "--resume") {
				t.Errorf("files of %d KiB: %s does not say what to do", blocks, text)
			}
		}
		if text, err := hurried(quantizeTiny(t, tiny, out, "--resume")); err != nil {
			t.Fatal(text)
		}
		sameFiles(t, out, want)
	}
	t.Logf("a full disk at 5 points: no output appeared, %d times there was something to go on with, 5 times the bundle is that of a run in one go", stops)
}

// TestFaultsSmallDisk writes to disks that are too small from the start, read-only, and full under way.
func TestFaultsSmallDisk(t *testing.T) {
	dir := t.TempDir()
	if runtime.GOOS != "linux" || exec.Command("mount", "-t", "tmpfs", "-o", "size=2m", "none", dir).Run() != nil {
		t.Skip("wants to mount a small tmpfs: root on Linux")
	}
	t.Cleanup(func() { _ = exec.Command("umount", dir).Run() })
	out := filepath.Join(dir, "out")
	text, err := hurried(quantizeTiny(t, tiny, out))
	if err == nil || !strings.Contains(text, "not enough room on the disk: ") || !strings.Contains(text, "are available") {
		t.Errorf("a disk of 2 MB: %v: %s", err, text)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := exec.Command("mount", "-o", "remount,size=6m", dir).Run(); err != nil {
		t.Fatal(err)
	}
	fillMeanwhile(t, dir, out)
	if text, err := hurried(quantizeTiny(t, tiny, out, "--resume")); err != nil {
		t.Fatal(text)
	}
	want, _ := wholeBundle(t)
	sameFiles(t, out, want)
	if err := exec.Command("mount", "-o", "remount,ro", dir).Run(); err != nil {
		t.Fatal(err)
	}
	text, err = hurried(quantizeTiny(t, tiny, filepath.Join(dir, "other")))
	if err == nil || !strings.Contains(text, "read-only file system") {
		t.Errorf("a read-only disk: %v: %s", err, text)
	}
	t.Log("a tmpfs of 2 MB is refused before anything is written; one of 6 MB that others fill is resumed when there is room; a read-only one is named")
}

// fillMeanwhile fills the disk while the program writes, and makes room again.
func fillMeanwhile(t *testing.T, dir, out string) {
	t.Helper()
	cmd := quantizeTiny(t, tiny, out)
	var text bytes.Buffer
	cmd.Stderr = &text
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for writing := false; !writing && len(ended) == 0; time.Sleep(100 * time.Microsecond) {
		parts, _ := filepath.Glob(filepath.Join(dir, ".out.partial", "content", "model-*")) // the pattern is valid
		writing = len(parts) > 0
	}
	ballast := filepath.Join(dir, "ballast")
	_ = os.WriteFile(ballast, make([]byte, 6<<20), 0o666) // as much as there is room for
	err := <-ended
	if rm := os.Remove(ballast); rm != nil {
		t.Fatal(rm)
	}
	if err == nil {
		t.Log("the program was done before the disk was full")
		if err := os.RemoveAll(out); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !strings.Contains(text.String(), "no space left on device") {
		t.Errorf("a disk that gets full: %s", text.String())
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a disk that gets full: there is an output")
	}
}

// TestFaultsTruncatedSource cuts a file of the checkpoint while it is read.
func TestFaultsTruncatedSource(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a mapped file cannot be cut there")
	}
	_, took := wholeBundle(t)
	in := t.TempDir()
	restore := func() {
		for name, data := range readAll(t, tiny) {
			if err := os.WriteFile(filepath.Join(in, name), data, 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	cut, late := 0, 0
	for i := range 8 {
		restore()
		out := filepath.Join(t.TempDir(), "out")
		cmd := quantizeTiny(t, in, out)
		var group sync.WaitGroup
		group.Go(func() {
			time.Sleep(took * time.Duration(i+1) / 10)
			for _, name := range []string{"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"} {
				_ = os.Truncate(filepath.Join(in, name), int64(i*100000))
			}
		})
		text, err := hurried(cmd)
		group.Wait()
		if err == nil {
			late++
			continue
		}
		cut++
		if strings.Contains(text, "goroutine") || strings.Count(strings.TrimSpace(text), "\n") != 0 || !strings.Contains(text, ".safetensors") && !strings.Contains(text, "a file was cut short") {
			t.Errorf("a truncated file: %s", text)
		}
		if _, err := os.Stat(out); err == nil {
			t.Error("a truncated file: there is an output")
		}
	}
	if cut == 0 {
		t.Error("all files were truncated too late")
	}
	t.Logf("a source truncated under way: %d of %d times an error that names the file and no output, else the run was done before", cut, cut+late)
}

// TestFaultsReadOnly writes where nobody may.
func TestFaultsReadOnly(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o777) })
	if f, err := os.Create(filepath.Join(dir, "x")); err == nil {
		f.Close()
		t.Skip("this user may write to a read-only directory; TestFaultsSmallDisk has a read-only disk")
	}
	text, err := hurried(quantizeTiny(t, tiny, filepath.Join(dir, "out")))
	if err == nil || !strings.Contains(text, "permission denied") {
		t.Errorf("a read-only directory: %v: %s", err, text)
	}
}

// TestFaultsAreOfUse keeps the campaign honest: the bundle it makes has several files.
func TestFaultsAreOfUse(t *testing.T) {
	files, _ := wholeBundle(t)
	m, err := bundle.ParseManifest(files[bundle.ManifestName])
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Files) < 5 || len(m.Tensors) < 50 {
		t.Errorf("%d files, %d tensors", len(m.Files), len(m.Tensors))
	}
}
