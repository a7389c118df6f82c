package filedigest

import (
	"crypto/sha256"
	"hash"

	"lukechampine.com/blake3"
)

const digestBytes = 32

// digest is a BLAKE3 of 32 bytes, by which the index knows a part.
type digest [digestBytes]byte

// A part is a stretch of a file.
type part struct {
	digest   digest
	size     int32
	wasKnown bool
}

// digesting is one file as it comes. What it keeps of it are 40 bytes for each part.
type digesting struct {
	whole  hash.Hash
	second hash.Hash
	open   *blake3.Hasher
	cutter cutter
	bytes  int64
	parts  []part
}

func newDigesting(withBlake3 bool) *digesting {
	made := &digesting{whole: sha256.New(), open: blake3.New(digestBytes, nil)}
	if withBlake3 {
		made.second = blake3.New(digestBytes, nil)
	}
	return made
}

func (d *digesting) take(content []byte) {
	_, _ = d.whole.Write(content) // a hash never fails
	if d.second != nil {
		_, _ = d.second.Write(content)
	}
	d.bytes += int64(len(content))
	for len(content) > 0 {
		size := d.cutter.size
		taken, isCut := d.cutter.next(content)
		_, _ = d.open.Write(content[:taken])
		if isCut {
			d.close(size + taken)
		}
		content = content[taken:]
	}
}

// finish closes the last part.
func (d *digesting) finish() {
	if d.cutter.size > 0 {
		d.close(d.cutter.size)
		d.cutter = cutter{}
	}
}

func (d *digesting) close(size int) {
	made := part{size: int32(size)}
	d.open.Sum(made.digest[:0])
	d.open.Reset()
	d.parts = append(d.parts, made)
}

func (d *digesting) sha256() []byte { return d.whole.Sum(nil) }

func (d *digesting) blake3() []byte {
	if d.second == nil {
		return nil
	}
	return d.second.Sum(nil)
}
