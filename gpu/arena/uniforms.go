package arena

import "github.com/llama-webgpu/llama-webgpu/gpu"

// Uniforms keeps small uniforms that never change; equal ones are kept once.
type Uniforms struct {
	arena   *Arena
	purpose string
	buffer  *Buffer // the one being filled
	used    int     // slots of it
	at      map[string]*Buffer
}

// uniformSlots is how many uniforms a buffer holds, gpu.Align bytes each.
const uniformSlots = 256

// NewUniforms returns an empty store, whose memory is counted under purpose as it is made.
func NewUniforms(a *Arena, purpose string) *Uniforms {
	return &Uniforms{arena: a, purpose: purpose, at: map[string]*Buffer{}}
}

// Put returns where a uniform of these bytes lies, at most gpu.Align of them.
func (u *Uniforms) Put(data []byte) (*Buffer, error) {
	if r, ok := u.at[string(data)]; ok {
		return r, nil
	}
	if u.buffer == nil || u.used == uniformSlots {
		b, err := u.arena.Make(u.purpose, uniformSlots*gpu.Align, gpu.Uniform)
		if err != nil {
			return nil, err
		}
		u.buffer, u.used = b, 0
	}
	offset := uint64(u.used * gpu.Align)
	if err := u.buffer.Write(offset, data); err != nil {
		return nil, err
	}
	u.used++
	r := u.buffer.Part(offset, uint64(len(data)))
	u.at[string(data)] = r
	return r, nil
}
