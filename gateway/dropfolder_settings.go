package gateway

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// What a folder may be told.
const (
	dropWaitHours     = 72 // unless it is told otherwise
	maxDropWaitHours  = 365 * 24
	maxDropDays       = 3650
	maxDropStableS    = 7 * 24 * 3600
	maxDropMarker     = 50
	maxDropText       = 2000
	maxDropFiles      = 1_000_000
	maxDropBytes      = int64(1) << 50
	maxDropSecret     = 1000
	maxDropCategories = 8 // levels
)

// apply checks what is said of a folder and puts it into the row; secret is the bucket's key in clear, nil when nothing is said
// of it. The field of an error names what is wrong.
func (d DropFolderDraft) apply(f *DropFolder, fresh bool) error {
	if err := d.applyNames(f); err != nil {
		return err
	}
	if err := d.applyPlace(f, fresh); err != nil {
		return err
	}
	if err := d.applyRules(f); err != nil {
		return err
	}
	if d.Origin != nil {
		var err error
		if f.Origin, err = d.Origin.checked(); err != nil {
			return err
		}
	}
	return d.applyLimits(f)
}

// newDropFolder is a folder of which nothing was said.
func newDropFolder() DropFolder {
	return DropFolder{
		Source: DropUploads, Handler: HandleBoth, Match: MatchAdd, Delete: DeleteManually, WaitHours: dropWaitHours,
		Patterns: []string{}, Ignore: []string{},
	}
}

func (d DropFolderDraft) applyNames(f *DropFolder) error {
	if d.Name != nil {
		f.Name = cleanText(*d.Name)
		f.NameKey = folderKey(f.Name)
	}
	if f.Name == "" {
		return E(Invalid, "name_empty", "The folder has no name.").Next("Name it so that people recognise it.").At("/name")
	}
	if utf8.RuneCountInString(f.Name) > maxLabel {
		return labelTooLong("/name")
	}
	if d.Description != nil {
		if f.Description = cleanText(*d.Description); utf8.RuneCountInString(f.Description) > maxDropText {
			return E(Invalid, "text_too_long", "The description is longer than 2000 characters.").Next("Shorten it.").At("/description")
		}
	}
	return nil
}

// folderKey is what names of folders are told apart by.
func folderKey(name string) string { return strings.ToLower(norm.NFKC.String(name)) }

func (d DropFolderDraft) applyPlace(f *DropFolder, fresh bool) error {
	if d.Source != nil && *d.Source != f.Source {
		if !slices.Contains([]DropSourceKind{DropUploads, DropDirectory, DropBucket}, *d.Source) {
			return E(Invalid, "source_unknown", "There is no such source.").Next("Choose uploads, directory or bucket.").At("/source")
		}
		if !fresh {
			return E(Invalid, "source_fixed", "A folder's source cannot be changed: its files would all be others.").Next("Make another folder.").At("/source")
		}
		f.Source = *d.Source
	}
	if d.Path != nil {
		p, err := cleanDropPath(*d.Path)
		if err != nil {
			return err
		}
		if p != "" && f.Source == DropUploads {
			return E(Invalid, "path_unwanted", "A folder of uploads has no path.").Next("Leave it out, or choose the source directory or bucket.").At("/path")
		}
		f.Path = p
	}
	if f.Source == DropDirectory && f.Path == "" {
		return E(Invalid, "path_missing", "The folder's directory is not named.").Next("Name one below the hub's own, such as incoming/video.").At("/path")
	}
	return d.applyBucket(f)
}

func (d DropFolderDraft) applyBucket(f *DropFolder) error {
	if f.Source != DropBucket {
		if d.Bucket != nil && *d.Bucket != (DropBucketAddress{}) {
			return E(Invalid, "bucket_unwanted", "Only folders of the source bucket have one.").Next("Leave it out, or choose the source bucket.").At("/bucket")
		}
		if d.Secret != nil && *d.Secret != "" {
			return E(Invalid, "bucket_unwanted", "Only folders of the source bucket have a key.").Next("Leave it out, or choose the source bucket.").At("/bucket_secret")
		}
		return nil
	}
	before := f.Bucket
	if d.Bucket != nil {
		b, err := d.Bucket.checked()
		if err != nil {
			return err
		}
		f.Bucket = b
	}
	if f.Bucket.Name == "" {
		return E(Invalid, "bucket_missing", "The bucket is not named.").Next("Name it.").At("/bucket/name")
	}
	if d.Secret != nil && len(*d.Secret) > maxDropSecret {
		return E(Invalid, "bucket_secret", "The bucket's secret is longer than 1000 bytes.").Next("Paste the secret key only.").At("/bucket_secret")
	}
	has := len(f.Secret) > 0
	if d.Secret != nil {
		has = *d.Secret != ""
	}
	switch {
	case (f.Bucket.KeyID != "") != has:
		return E(Invalid, "bucket_key", "A key has an id and a secret; one of them is missing.").
			Next("Give both, or neither for a bucket that everybody may read.").At(missingHalf(has))
	case has && d.Secret == nil && (before.Endpoint != f.Bucket.Endpoint || before.KeyID != f.Bucket.KeyID):
		// Else whoever may change a folder could have a key that they do not know tried anywhere.
		return E(Invalid, "bucket_secret_again", "For another store or key the secret has to be given again.").Next("Paste the secret key of this store.").At("/bucket_secret")
	}
	return nil
}

func missingHalf(hasSecret bool) string {
	if hasSecret {
		return "/bucket/key_id"
	}
	return "/bucket_secret"
}

func (b DropBucketAddress) checked() (DropBucketAddress, error) {
	b.Endpoint, b.Region, b.Name, b.KeyID = strings.TrimSpace(b.Endpoint), strings.TrimSpace(b.Region), strings.TrimSpace(b.Name), strings.TrimSpace(b.KeyID)
	plain := func(s, also string) bool {
		return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789"+also) == ""
	}
	switch {
	case len(b.Name) < 3 || len(b.Name) > 63 || !plain(b.Name, ".-") || strings.Contains(b.Name, "..") || strings.ContainsAny(b.Name[:1]+b.Name[len(b.Name)-1:], ".-"):
		return b, E(Invalid, "bucket_name", "This is not the name of a bucket.").
			Next("Give 3 to 63 small letters, digits, dots and dashes, without s3:// and without a path.").At("/bucket/name")
	case len(b.Region) > 63 || !plain(b.Region, "-") || b.Region == "" && b.Endpoint == "":
		return b, E(Invalid, "bucket_region", "The bucket's region is missing or no name of a region.").
			Next("Give it like eu-central-1, or give the endpoint of another store.").At("/bucket/region")
	case len(b.KeyID) > 300 || strings.ContainsFunc(b.KeyID, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return b, E(Invalid, "bucket_key", "The id of the bucket's key is not plain text.").Next("Paste the access key id only.").At("/bucket/key_id")
	case b.Endpoint == "":
		return b, nil
	}
	u, err := url.Parse(b.Endpoint)
	if err != nil || len(b.Endpoint) > maxURI || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return b, E(Invalid, "bucket_endpoint", "The endpoint is no plain web address.").Next("Write it like https://s3.example.org, without a key or a query.").At("/bucket/endpoint")
	}
	b.Endpoint = strings.TrimSuffix(b.Endpoint, "/")
	return b, nil
}

func (d DropFolderDraft) applyRules(f *DropFolder) error {
	if d.Complete != nil {
		if err := d.Complete.check(f.Source); err != nil {
			return err
		}
		f.Complete = *d.Complete
	}
	if d.Handler != nil {
		if f.Handler = *d.Handler; !slices.Contains([]DropHandler{HandleContent, HandleXML, HandleBoth}, f.Handler) {
			return E(Invalid, "handler_unknown", "There is no such handler.").Next("Choose content, xml or both.").At("/handler")
		}
	}
	var err error
	if d.Patterns != nil {
		if f.Patterns, err = checkPatterns(*d.Patterns, "/patterns"); err != nil {
			return err
		}
	}
	if d.Ignore != nil {
		if f.Ignore, err = checkPatterns(*d.Ignore, "/ignore"); err != nil {
			return err
		}
	}
	if d.Match != nil {
		if f.Match = *d.Match; !slices.Contains([]DropMatch{MatchAdd, MatchOrAdd, MatchOrWait}, f.Match) {
			return E(Invalid, "match_unknown", "There is no such way to match.").Next("Choose add, match_or_add or match_or_wait.").At("/match")
		}
	}
	if d.Slug != nil {
		if f.Slug = strings.TrimSpace(*d.Slug); f.Slug != "" {
			if _, err := parseSlug(f.Slug); err != nil {
				return err
			}
		}
	}
	if d.WaitHours != nil {
		if f.WaitHours = *d.WaitHours; f.WaitHours < 1 || f.WaitHours > maxDropWaitHours {
			return E(Invalid, "wait_invalid", "A file can wait for others an hour at least and a year at most.").Next("Give 1 to %d hours.", maxDropWaitHours).At("/wait_hours")
		}
	}
	return d.applyDelete(f)
}

func (c DropComplete) check(source DropSourceKind) error {
	if source == DropUploads && c != (DropComplete{}) {
		return E(Invalid, "complete_unwanted", "An upload says itself that it is whole.").Next("Leave this out, or choose the source directory.").At("/complete")
	}
	if m := c.Marker; m != "" && (len(m) < 2 || len(m) > maxDropMarker || !utf8.ValidString(m) || strings.ContainsFunc(m, func(r rune) bool { return r <= ' ' || strings.ContainsRune(`/\*?[`, r) })) {
		return E(Invalid, "marker_invalid", "The ending of marker files is no plain ending.").Next("Write it like .done").At("/complete/marker")
	}
	if c.Rename != "" {
		p, why := parsePattern(c.Rename)
		if why == "" && strings.Trim(strings.Join(p.steps, ""), "*") == "" {
			why = "fits every name"
		}
		if why != "" {
			return E(Invalid, "pattern_invalid", "The pattern of unfinished names "+why+".").Next("Write it like *.part").At("/complete/rename")
		}
	}
	if c.StableS < 0 || c.StableS > maxDropStableS {
		return E(Invalid, "stable_invalid", "The time without a change is a week at most.").Next("Give 0 to %d seconds; 0 never guesses.", maxDropStableS).At("/complete/stable_seconds")
	}
	return nil
}

func (d DropFolderDraft) applyDelete(f *DropFolder) error {
	if d.Delete != nil {
		f.Delete = *d.Delete
	}
	if d.DeleteDays != nil {
		f.DeleteDays = *d.DeleteDays
	}
	switch {
	case !slices.Contains([]DropDelete{DeleteManually, DeleteWhenReady, DeleteAfterDays}, f.Delete):
		return E(Invalid, "delete_unknown", "There is no such time to delete.").Next("Choose manual, when_ready or after_days.").At("/delete")
	case f.Delete != DeleteManually && f.Source == DropUploads:
		return E(Invalid, "delete_unwanted", "Nothing is left of an upload that would have to be deleted.").Next("Choose manual.").At("/delete")
	case f.DeleteDays < 0 || f.DeleteDays > maxDropDays || f.Delete == DeleteAfterDays && f.DeleteDays == 0:
		return E(Invalid, "days_invalid", "After how many days files are deleted is not said, or too long.").Next("Give 1 to %d days.", maxDropDays).At("/delete_days")
	}
	if f.Delete != DeleteAfterDays {
		f.DeleteDays = 0
	}
	return nil
}

func (o DropOrigin) checked() (DropOrigin, error) {
	var err error
	if o.UserID = cleanText(o.UserID); utf8.RuneCountInString(o.UserID) > maxPlatformUser {
		return o, E(Invalid, "user_too_long", "The user's id is longer than 100 characters.").Next("Give a user id of the Kaltura account.").At("/origin/user_id")
	}
	if o.Tags, err = cleanTags(o.Tags); err != nil {
		e := *AsError(err)
		return o, e.At("/origin/tags")
	}
	if o.Category != "" {
		var levels []string
		for level := range strings.SplitSeq(o.Category, ">") {
			level = cleanText(level)
			if level == "" || utf8.RuneCountInString(level) > maxCategoryName || strings.ContainsRune(level, ',') {
				return o, E(Invalid, "category_invalid", "The category is no full name.").
					Next("Write it like News>Sport: levels of %d characters at most with > between, without commas.", maxCategoryName).At("/origin/category")
			}
			levels = append(levels, level)
		}
		if len(levels) > maxDropCategories {
			return o, E(Invalid, "category_too_deep", fmt.Sprintf("The category has more than %d levels.", maxDropCategories)).Next("Choose one further up.").At("/origin/category")
		}
		o.Category = strings.Join(levels, ">")
	}
	if o.ConversionProfileID < 0 {
		return o, E(Invalid, "profile_invalid", "This is no conversion profile.").Next("Give its number, or 0 for the account's default.").At("/origin/conversion_profile_id")
	}
	return o, nil
}

func (d DropFolderDraft) applyLimits(f *DropFolder) error {
	f.MaxFiles, f.MaxBytes = *cmp.Or(d.MaxFiles, &f.MaxFiles), *cmp.Or(d.MaxBytes, &f.MaxBytes)
	f.Policy, f.RateBPS = *cmp.Or(d.Policy, &f.Policy), *cmp.Or(d.RateBPS, &f.RateBPS)
	switch {
	case f.MaxFiles < 0 || f.MaxFiles > maxDropFiles:
		return E(Invalid, "limit_invalid", "This is no number of files.").Next("Give 1 to %d, or 0 for the hub's limit.", maxDropFiles).At("/max_files")
	case f.MaxBytes < 0 || f.MaxBytes > maxDropBytes:
		return E(Invalid, "limit_invalid", "This is no number of bytes.").Next("Give 1 to %d, or 0 for no limit.", maxDropBytes).At("/max_bytes")
	case f.Policy != "" && !slices.Contains(TransferPolicies, f.Policy):
		return E(Invalid, "policy_invalid", "There is no such policy.").Next("Choose fixed, high, fair or low, or nothing for the hub's.").At("/policy")
	case f.RateBPS < 0 || f.RateBPS > mostRate || f.RateBPS > 0 && f.RateBPS < leastRate:
		return E(Invalid, "rate_invalid", fmt.Sprintf("The rate is less than %d bit/s, or more than any line has.", leastRate)).Next("Choose another rate, or 0 for no limit.").At("/rate_bps")
	case f.Policy == PolicyFixed && f.RateBPS == 0:
		return E(Invalid, "rate_missing", "The policy fixed needs a rate.").Next("Say a rate, or choose another policy.").At("/rate_bps")
	}
	return nil
}

// moves tells whether a draft has a folder look elsewhere than before, or with another key; that is for admins to say, too.
func (d DropFolderDraft) moves(before, f DropFolder) bool {
	return d.Secret != nil || f.place() != before.place() || f.Path != before.Path || f.Bucket != before.Bucket
}

// placed tells whether a draft says where a folder looks, which is for admins to say.
func (d DropFolderDraft) placed() bool {
	return d.Source != nil && *d.Source != DropUploads || d.Path != nil && *d.Path != "" || d.Bucket != nil || d.Secret != nil
}
