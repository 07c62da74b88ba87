package dropfolder

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"isthmus/gateway"
)

// bucket is a prefix in an S3-compatible store. An object is there whole or not at all.
type bucket struct {
	client *s3.Client
	name   string
	prefix string // ends with "/" or is empty
	most   int    // bytes of names and identities of a look, which are held together
}

const (
	maxListing = 256 << 20
	maxETag    = 256 // that of a store is a digest and a number
)

var (
	bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	regionName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
)

func (s *Sources) bucket(f gateway.DropFolder, secret gateway.Secret) (*bucket, error) {
	b := f.Bucket
	if !bucketName.MatchString(b.Name) || strings.Contains(b.Name, "..") {
		return nil, gateway.E(gateway.Invalid, "bucket_name", "This is not the name of a bucket.").
			Next("Give 3 to 63 small letters, digits, dots and dashes, without s3:// and without a path.").At("/bucket/name")
	}
	if climbs(f.Path) || strings.Contains(prefixOf(f.Path), "//") || oddName(f.Path) != "" {
		return nil, gateway.E(gateway.Invalid, "bucket_prefix", "This is not a prefix of names.").
			Next("Write it like incoming/video, or leave it empty for the whole bucket.").At("/path")
	}
	region := b.Region
	if region == "" && b.Endpoint != "" {
		region = "us-east-1" // what those stores take that have no regions
	}
	if !regionName.MatchString(region) {
		return nil, gateway.E(gateway.Invalid, "bucket_region", "The bucket's region is missing or no name of a region.").
			Next("Give it like eu-central-1, or give the endpoint of another store.").At("/bucket/region")
	}
	if (b.KeyID == "") != (secret == "") {
		return nil, gateway.E(gateway.Invalid, "bucket_key", "A key has an id and a secret; one of them is missing.").
			Next("Give both, or neither for a bucket that everybody may read.").At("/bucket/key_id")
	}
	var endpoint *string
	if b.Endpoint != "" {
		at, err := s.o.CheckURL(b.Endpoint)
		if err != nil {
			e := *gateway.AsError(err)
			e.Field = "/bucket/endpoint"
			return nil, &e
		}
		endpoint = &at
	}
	return &bucket{name: b.Name, prefix: prefixOf(f.Path), most: cmp.Or(s.o.Listing, maxListing), client: s3.New(s3.Options{
		Region: region, BaseEndpoint: endpoint, UsePathStyle: b.PathStyle, HTTPClient: answers{s.o.Client, cmp.Or(s.o.Answer, answerTime)}, Credentials: key(b.KeyID, secret),
		RetryMaxAttempts: 3, AppID: "isthmus", DisableLogOutputChecksumValidationSkipped: true,
		// Other stores know the checksums of long ago only.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	})}, nil
}

func key(id string, secret gateway.Secret) aws.CredentialsProvider {
	if id == "" {
		return aws.AnonymousCredentials{}
	}
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret.Reveal(), Source: "folder"}, nil
	})
}

// prefixOf makes a folder's path the beginning of its objects' keys.
func prefixOf(p string) string {
	if p = strings.Trim(p, "/"); p == "" {
		return ""
	}
	return p + "/"
}

// Scan implements gateway.DropSource.
func (b *bucket) Scan(ctx context.Context, each func(gateway.DropEntry) error) error {
	in := &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: &b.prefix, EncodingType: types.EncodingTypeUrl}
	left := b.most
	for pages, objects, files := 1, 0, 0; ; pages++ {
		page, err := b.list(ctx, in)
		if err != nil {
			return err
		}
		objects += len(page.Contents)
		for _, o := range page.Contents {
			e, ok := b.listed(o, page.EncodingType == types.EncodingTypeUrl)
			if !ok {
				continue
			}
			left -= len(e.Name) + len(e.Identity)
			if files++; files > maxFiles || left < 0 {
				return gateway.E(gateway.TooLarge, "bucket_too_full", "There are more than a million objects under the prefix, or their names are too long together.").
					Next("Move some of them away, or make several folders with longer prefixes.")
			}
			if err := each(e); err != nil {
				return err
			}
		}
		if !aws.ToBool(page.IsTruncated) {
			return nil
		}
		next := aws.ToString(page.NextContinuationToken)
		if next == "" || next == aws.ToString(in.ContinuationToken) || pages > 1000 && objects < 100*pages { // a store that would go round for ever
			return gateway.E(gateway.Unavailable, "bucket_listing", "The store's listing does not go on.").
				Next("It is tried again by itself; if it stays so, ask whoever runs the store.")
		}
		in.ContinuationToken = &next
	}
}

func (b *bucket) list(ctx context.Context, in *s3.ListObjectsV2Input) (*s3.ListObjectsV2Output, error) {
	page, err := b.client.ListObjectsV2(ctx, in)
	if err != nil {
		return nil, bucketError(ctx, err)
	}
	if aws.ToString(page.Name) != b.name { // somebody else's page would look like an empty bucket
		return nil, noStore()
	}
	for _, o := range page.Contents {
		if len(aws.ToString(o.ETag)) > maxETag {
			return nil, noStore()
		}
	}
	return page, nil
}

func noStore() error {
	return gateway.E(gateway.Unavailable, "bucket_no_store", "What answers is no S3-compatible store, or lists another bucket.").
		Next("Check the endpoint, and whether the bucket's name belongs into the path (path style).")
}

// listed makes an entry of a listed object; false for the empty objects that stand for folders.
func (b *bucket) listed(o types.Object, escaped bool) (gateway.DropEntry, bool) {
	key := aws.ToString(o.Key)
	if escaped {
		if plain, err := url.QueryUnescape(key); err == nil {
			key = plain
		}
	}
	name, below := strings.CutPrefix(key, b.prefix)
	if !below || name == "" || strings.HasSuffix(name, "/") && aws.ToInt64(o.Size) == 0 {
		return gateway.DropEntry{}, false
	}
	e := object(name, aws.ToInt64(o.Size), aws.ToString(o.ETag), o.LastModified)
	if e.Odd = oddKey(name); e.Odd != "" {
		e.Name = readable(name)
	}
	return e, true
}

func object(name string, size int64, etag string, at *time.Time) gateway.DropEntry {
	e := gateway.DropEntry{Name: name, Size: size, Identity: url.PathEscape(strings.Trim(etag, `"`)), Whole: true}
	if at != nil {
		e.ModifiedAt = at.UTC().Truncate(time.Second) // as precise as the header that Stat reads
	}
	return e
}

// oddKey says why an object is never taken: its name would be no path in the folder.
func oddKey(name string) string {
	if odd := oddName(name); odd != "" {
		return odd
	}
	if path.Clean("/"+name) != "/"+name || strings.Contains(name, "\x00") {
		return gateway.DropOddPath
	}
	return ""
}

// Stat implements gateway.DropSource.
func (b *bucket) Stat(ctx context.Context, name string) (gateway.DropEntry, error) {
	if oddKey(name) != "" || name == "" {
		return gateway.DropEntry{}, missing(nil)
	}
	key := b.prefix + name
	head, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: &key})
	if answered(err) == http.StatusNotFound {
		return gateway.DropEntry{}, b.absent(ctx, err)
	}
	if err != nil {
		return gateway.DropEntry{}, bucketError(ctx, err)
	}
	if tag := aws.ToString(head.ETag); tag == "" || len(tag) > maxETag {
		return gateway.DropEntry{}, noStore()
	}
	return object(name, aws.ToInt64(head.ContentLength), aws.ToString(head.ETag), head.LastModified), nil
}

// absent asks whether the bucket is there at all: an answer without a body does not say which of the two is missing.
func (b *bucket) absent(ctx context.Context, err error) error {
	if _, err := b.list(ctx, &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: &b.prefix, MaxKeys: aws.Int32(1)}); err != nil {
		return err
	}
	return missing(err)
}

// Open implements gateway.DropSource. All reading asks for the very object that was there when it was opened.
func (b *bucket) Open(ctx context.Context, name string) (gateway.DropReader, error) {
	e, err := b.Stat(ctx, name)
	if err != nil {
		return nil, err
	}
	return &objectReader{ctx: ctx, b: b, key: b.prefix + name, e: e}, nil
}

// Remove implements gateway.DropSource. The condition goes along, for the stores that keep to it; the look before it
// is for those that do not.
func (b *bucket) Remove(ctx context.Context, name, id string) error {
	e, err := b.Stat(ctx, name)
	if gateway.CodeOf(err) == gateway.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if e.Identity != id {
		return changed()
	}
	key := b.prefix + name
	etag := quoted(id)
	_, err = b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: &key, IfMatch: &etag})
	if answered(err) == http.StatusNotImplemented || code(err) == "NotImplemented" {
		_, err = b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: &key})
	}
	switch err = bucketError(ctx, err); {
	case gateway.CodeOf(err) == gateway.NotFound && !gateway.IsReason(err, "bucket_missing"):
		return nil
	case gateway.IsReason(err, "bucket_denied"):
		return gateway.E(gateway.Forbidden, "object_undeletable", "The key may not delete objects.").
			Next("Give it s3:DeleteObject for the prefix, or delete the object by hand.").Because(errors.Unwrap(err))
	}
	return err
}

// quoted makes a header of an identity.
func quoted(id string) string {
	etag, err := url.PathUnescape(id)
	if err != nil {
		etag = id
	}
	return `"` + etag + `"`
}

// Watch implements gateway.DropSource: buckets do not call.
func (b *bucket) Watch(context.Context, func(name, renamedFrom string)) error { return nil }

// Close implements gateway.DropSource.
func (b *bucket) Close() error { return nil }

var _ gateway.DropSource = (*bucket)(nil)
