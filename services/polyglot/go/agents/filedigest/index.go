package filedigest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// The index is one file of bbolt: a change is there whole or not at all, whatever ends the process.
var (
	sumsBucket     = []byte("sums")     // "format" and "sums"
	filesBucket    = []byte("files")    // id -> size, count of parts
	listingsBucket = []byte("listings") // id, 0, number of page -> its parts
	partsBucket    = []byte("parts")    // digest -> size, how many places of files have it
	formatKey      = []byte("format")
	sumsKey        = []byte("sums")
)

const (
	format       = 1
	openWithin   = 2 * time.Second
	listedBytes  = digestBytes + 4 + 1
	listingParts = 1000
)

var (
	errFull   = errors.New("the index is full")
	errAbsent = errors.New("the index has no such file")
)

// sums of the index, kept with each change so that nobody has to count.
type sums struct{ files, fileBytes, parts, partBytes int64 }

type index struct {
	store  *bbolt.DB
	limits limits
}

func openIndex(path string, limits limits) (*index, error) {
	store, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: openWithin, FreelistType: bbolt.FreelistMapType})
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, fmt.Errorf("another process has %s open; each instance needs a state folder of its own", path)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	made := &index{store, limits}
	if err := store.Update(prepare); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), store.Close())
	}
	return made, nil
}

func prepare(change *bbolt.Tx) error {
	for _, name := range [][]byte{sumsBucket, filesBucket, listingsBucket, partsBucket} {
		if _, err := change.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	bucket := change.Bucket(sumsBucket)
	switch found := bucket.Get(formatKey); {
	case found == nil:
		return bucket.Put(formatKey, []byte{format})
	case len(found) != 1 || found[0] != format:
		return fmt.Errorf("the index is of format %v, and this program knows %d", found, format)
	}
	return nil
}

func (i *index) close() error { return i.store.Close() }

func (i *index) sums() (found sums, err error) {
	err = i.store.View(func(view *bbolt.Tx) error {
		found = sumsIn(view)
		return nil
	})
	return found, err
}

// mark says of each part whether it stands in the index, or further in front.
func (i *index) mark(parts []part) error {
	return i.store.View(func(view *bbolt.Tx) error {
		marked(view, parts)
		return nil
	})
}

// keep marks the parts, and keeps them under the file's id in place of what stood there. `still`
// says whether anybody wants it, at the last moment.
func (i *index) keep(id string, size int64, parts []part, still func() error) error {
	return i.store.Update(func(change *bbolt.Tx) error {
		marked(change, parts)
		total := sumsIn(change)
		if _, err := release(change, id, &total); err != nil && !errors.Is(err, errAbsent) {
			return err
		}
		if err := add(change, id, size, parts, &total); err != nil {
			return err
		}
		if total.files > i.limits.filesMax || total.parts > i.limits.partsMax {
			return errFull
		}
		if err := total.put(change); err != nil {
			return err
		}
		return still()
	})
}

// forget returns how many parts no file has any more.
func (i *index) forget(id string) (forgotten int64, err error) {
	err = i.store.Update(func(change *bbolt.Tx) error {
		total := sumsIn(change)
		forgotten, err = release(change, id, &total)
		if err != nil {
			return err
		}
		return total.put(change)
	})
	return forgotten, err
}

// list up to `most` parts of a file from one on, the offset of the first, and how many it has.
func (i *index) list(id string, from, most int) (found []part, offset int64, count int, err error) {
	err = i.store.View(func(view *bbolt.Tx) error {
		kept := view.Bucket(filesBucket).Get([]byte(id))
		if kept == nil {
			return errAbsent
		}
		count = int(binary.BigEndian.Uint64(kept[8:]))
		place := 0
		return eachListed(view, id, func(one part) error {
			switch {
			case place < from:
				offset += int64(one.size)
			case place < from+most:
				found = append(found, one)
			}
			place++
			return nil
		})
	})
	return found, offset, count, err
}

// known says of each digest whether it is in the index.
func (i *index) known(digests [][]byte) (found []bool, err error) {
	err = i.store.View(func(view *bbolt.Tx) error {
		bucket := view.Bucket(partsBucket)
		for _, one := range digests {
			found = append(found, bucket.Get(one) != nil)
		}
		return nil
	})
	return found, err
}

func marked(view *bbolt.Tx, parts []part) {
	bucket, seen := view.Bucket(partsBucket), make(map[digest]struct{}, len(parts))
	for place := range parts {
		one := &parts[place]
		_, again := seen[one.digest]
		one.wasKnown = again || bucket.Get(one.digest[:]) != nil
		seen[one.digest] = struct{}{}
	}
}

func add(change *bbolt.Tx, id string, size int64, parts []part, total *sums) error {
	bucket, listings := change.Bucket(partsBucket), change.Bucket(listingsBucket)
	page := make([]byte, 0, listingParts*listedBytes)
	for place, one := range parts {
		if err := refer(bucket, one, 1, total); err != nil {
			return err
		}
		page = append(page, one.digest[:]...)
		page = binary.BigEndian.AppendUint32(page, uint32(one.size))
		page = append(page, flag(one.wasKnown))
		if (place+1)%listingParts == 0 || place+1 == len(parts) {
			if err := listings.Put(pageKey(id, place/listingParts), page); err != nil {
				return err
			}
			page = make([]byte, 0, listingParts*listedBytes)
		}
	}
	total.files++
	total.fileBytes += size
	kept := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(size)), uint64(len(parts)))
	return change.Bucket(filesBucket).Put([]byte(id), kept)
}

// release takes a file out, with the parts that no other one has, and returns how many those are.
func release(change *bbolt.Tx, id string, total *sums) (int64, error) {
	kept := change.Bucket(filesBucket).Get([]byte(id))
	if kept == nil {
		return 0, errAbsent
	}
	size, before, bucket := int64(binary.BigEndian.Uint64(kept)), total.parts, change.Bucket(partsBucket)
	if err := eachListed(change, id, func(one part) error { return refer(bucket, one, -1, total) }); err != nil {
		return 0, err
	}
	if err := unlist(change.Bucket(listingsBucket), id); err != nil {
		return 0, err
	}
	total.files--
	total.fileBytes -= size
	return before - total.parts, change.Bucket(filesBucket).Delete([]byte(id))
}

func unlist(listings *bbolt.Bucket, id string) error {
	for number := 0; ; number++ {
		key := pageKey(id, number)
		if listings.Get(key) == nil {
			return nil
		}
		if err := listings.Delete(key); err != nil {
			return err
		}
	}
}

// refer to a part once more, or once less: without anybody who does it is gone.
func refer(bucket *bbolt.Bucket, one part, by int64, total *sums) error {
	count := int64(0)
	if kept := bucket.Get(one.digest[:]); kept != nil {
		count = int64(binary.BigEndian.Uint64(kept[4:]))
	}
	switch {
	case count == 0 && by > 0:
		total.parts++
		total.partBytes += int64(one.size)
	case count+by == 0:
		total.parts--
		total.partBytes -= int64(one.size)
		return bucket.Delete(one.digest[:])
	}
	value := binary.BigEndian.AppendUint32(nil, uint32(one.size))
	return bucket.Put(one.digest[:], binary.BigEndian.AppendUint64(value, uint64(count+by)))
}

func eachListed(view *bbolt.Tx, id string, take func(part) error) error {
	listings := view.Bucket(listingsBucket)
	for number := 0; ; number++ {
		page := listings.Get(pageKey(id, number))
		if page == nil {
			return nil
		}
		for ; len(page) >= listedBytes; page = page[listedBytes:] {
			one := part{size: int32(binary.BigEndian.Uint32(page[digestBytes:])), wasKnown: page[listedBytes-1] == 1}
			copy(one.digest[:], page)
			if err := take(one); err != nil {
				return err
			}
		}
	}
}

func pageKey(id string, number int) []byte {
	return binary.BigEndian.AppendUint32(append([]byte(id), 0), uint32(number))
}

func flag(value bool) byte {
	if value {
		return 1
	}
	return 0
}

func sumsIn(view *bbolt.Tx) sums {
	kept := view.Bucket(sumsBucket).Get(sumsKey)
	if kept == nil {
		return sums{}
	}
	at := func(place int) int64 { return int64(binary.BigEndian.Uint64(kept[8*place:])) }
	return sums{at(0), at(1), at(2), at(3)}
}

func (s sums) put(change *bbolt.Tx) error {
	var value []byte
	for _, one := range []int64{s.files, s.fileBytes, s.parts, s.partBytes} {
		value = binary.BigEndian.AppendUint64(value, uint64(one))
	}
	return change.Bucket(sumsBucket).Put(sumsKey, value)
}
