// Package option says what is wrong with an option of the libraries in words that fit a flag as well as a struct's
// field. It knows neither.
package option

// Error is a mistake in the options, whatever the model is.
type Error struct {
	Option string // as in format or max-shard-size; "" if Err says it
	Value  string // "" if Err says it, or if it does not matter
	Err    error
}

// New returns a mistake in an option.
func New(option, value string, err error) *Error { return &Error{option, value, err} }

func (e *Error) Error() string {
	switch {
	case e.Option == "":
		return e.Err.Error()
	case e.Value == "":
		return e.Option + ": " + e.Err.Error()
	}
	return e.Option + " " + e.Value + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }
