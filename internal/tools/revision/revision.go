// Package revision builds the program of another revision of this repository, for tools that compare two of
// them. It changes nothing in the work tree that it is run in.
package revision

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Build builds cmd/llama-webgpu of a revision in a git worktree of its own, dir/.tree, which it removes again.
// program is the file to write.
func Build(ctx context.Context, rev, dir, program string) error {
	program, err := filepath.Abs(program)
	if err != nil {
		return err
	}
	tree := filepath.Join(dir, ".tree") // with a dot, so that ./... does not mean it
	remove := func() error {            // also after an interrupt
		return Command(context.WithoutCancel(ctx), ".", "git", "worktree", "remove", "--force", tree)
	}
	if _, err := os.Stat(tree); err == nil {
		if err := remove(); err != nil { // left by a run that was killed
			return err
		}
	}
	if err := Command(ctx, ".", "git", "worktree", "add", "--quiet", "--detach", tree, rev); err != nil {
		return err
	}
	return errors.Join(Command(ctx, tree, "go", "build", "-o", program, "./cmd/llama-webgpu"), remove())
}

// Command runs a program in a directory. If it fails, the error has what it printed.
func Command(ctx context.Context, dir, name string, args ...string) error {
	c := exec.CommandContext(ctx, name, args...)
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
