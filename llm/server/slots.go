package server

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/llama-webgpu/llama-webgpu/llm"
)

// slotJSON describes a sequence, as llama.cpp's server does.
type slotJSON struct {
	ID      int    `json:"id"`
	Model   string `json:"model"`
	Context int    `json:"n_ctx"`
	Tokens  int    `json:"n_tokens"` // in its cache
	Busy    bool   `json:"is_processing"`
}

func (s *Server) slots(w http.ResponseWriter, r *http.Request) error {
	return s.with(r, r.URL.Query().Get("model"), func(l *loaded) error {
		list := []slotJSON{}
		for _, slot := range l.scheduler.Slots() {
			list = append(list, slotJSON{slot.ID, l.ID, l.scheduler.Model().Context(), slot.Tokens, slot.Busy})
		}
		answer(w, http.StatusOK, list)
		return nil
	})
}

// slotRequest is the body of an action. Erase needs none.
type slotRequest struct {
	Model    string `json:"model"`
	Filename string `json:"filename"`
}

// slotAction saves what a slot holds to a file, restores it, or erases it.
func (s *Server) slotAction(w http.ResponseWriter, r *http.Request) error {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		return bad("id", "slot %q: want a number", r.PathValue("id"))
	}
	q := slotRequest{Model: r.URL.Query().Get("model")}
	action := r.URL.Query().Get("action")
	if action != "erase" || r.ContentLength > 0 {
		if err := readRequest(w, r, &q); err != nil {
			return err
		}
	}
	return s.with(r, q.Model, func(l *loaded) error {
		if n := len(l.scheduler.Slots()); id < 0 || id >= n {
			return bad("id", "slot %d: there are %d, from 0 on", id, n)
		}
		switch action {
		case "save", "restore":
			return s.storeSlot(w, r, l, action, id, q.Filename)
		case "erase":
			return eraseSlot(w, r, l, id)
		}
		return bad("action", "action %q: want save, restore or erase", action)
	})
}

func eraseSlot(w http.ResponseWriter, r *http.Request, l *loaded, id int) error {
	return l.scheduler.Lend(r.Context(), id, func(session *llm.Session) error {
		n := len(session.Tokens())
		session.Reset()
		answer(w, http.StatusOK, map[string]any{"id_slot": id, "n_erased": n})
		return nil
	})
}

// filename is what the file of a slot may be called: it lies in the directory, and is not hidden.
var filename = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$`)

// storeSlot saves a slot, or restores it.
func (s *Server) storeSlot(w http.ResponseWriter, r *http.Request, l *loaded, action string, id int, name string) error {
	if s.o.Slots == "" {
		return &apiError{http.StatusNotImplemented, "slots are not saved: start the server with --slot-save-path DIR", "not_supported_error", "action", ""}
	}
	if !filename.MatchString(name) || !filepath.IsLocal(name) { // on Windows, NUL is a device
		return bad("filename", "filename %q: want up to 200 letters, digits, dots, - and _, and no dot first", name)
	}
	path, begun := filepath.Join(s.o.Slots, name), time.Now()
	var h llm.Saved
	var inFile *fs.PathError
	err := l.scheduler.Lend(r.Context(), id, func(session *llm.Session) (err error) {
		s.saving.Lock() // there may be two of the same name
		defer s.saving.Unlock()
		if action == "save" {
			h, err = session.Save(r.Context(), path)
		} else {
			h, err = session.Restore(r.Context(), path)
		}
		return err
	})
	switch {
	case errors.Is(err, fs.ErrNotExist) && action == "restore":
		return &apiError{http.StatusNotFound, fmt.Sprintf("filename %q: nothing was saved there", name), "invalid_request_error", "filename", "not_found"}
	case errors.Is(err, llm.ErrSaved):
		return &apiError{http.StatusBadRequest, strings.ReplaceAll(err.Error(), path, name), "invalid_request_error", "filename", "slot_refused"}
	case errors.As(err, &inFile): // where the directory is, clients need not know
		return &apiError{http.StatusInternalServerError, fmt.Sprintf("filename %q: %s: %v", name, inFile.Op, inFile.Err), "server_error", "filename", ""}
	case err != nil:
		return err
	}
	ms := time.Since(begun).Seconds() * 1e3
	if action == "save" {
		answer(w, http.StatusOK, map[string]any{"id_slot": id, "filename": name, "n_saved": h.Tokens, "n_written": h.Bytes, "timings": map[string]float64{"save_ms": ms}})
	} else {
		answer(w, http.StatusOK, map[string]any{"id_slot": id, "filename": name, "n_restored": h.Tokens, "n_read": h.Bytes, "timings": map[string]float64{"restore_ms": ms}})
	}
	return nil
}
