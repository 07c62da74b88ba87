package dropfolder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"isthmus/gateway"
)

// code is the store's own word for an error, "" when it gave none.
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// answered is the HTTP status of an error, 0 when nothing answered.
func answered(err error) int {
	var res *awshttp.ResponseError
	if errors.As(err, &res) {
		return res.HTTPStatusCode()
	}
	return 0
}

// bucketError says what a store's error means to people. Only code and status of the answer are kept: its text may
// quote the request.
func bucketError(ctx context.Context, err error) error {
	var known *gateway.Error
	switch {
	case err == nil, err == io.EOF:
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &known):
		return known // ours, or the guard's word on an address
	}
	why := fmt.Errorf("the store answered %d %s", answered(err), code(err))
	switch code(err) {
	case "NoSuchBucket":
		return gateway.E(gateway.Unavailable, "bucket_missing", "There is no bucket of that name.").
			Next("Check its name, region and endpoint.").Because(why)
	case "NoSuchKey", "NotFound":
		return missing(why)
	case "PreconditionFailed":
		return changed()
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "AuthorizationHeaderMalformed":
		return gateway.E(gateway.Unavailable, "bucket_key_refused", "The store does not accept the key.").
			Next("Check the key's id and secret, and the bucket's region; keys may have been replaced at the store.").Because(why)
	case "RequestTimeTooSkewed":
		return gateway.E(gateway.Unavailable, "bucket_clock", "The store says that this server's clock is wrong.").
			Next("Set the clock of the server.").Because(why)
	case "InvalidObjectState":
		return gateway.E(gateway.Precondition, "object_archived", "The object lies in an archive and cannot be read.").
			Next("Restore it at the store; then try again.").Because(why)
	case "PermanentRedirect", "TemporaryRedirect", "IllegalLocationConstraintException":
		return region(err, why)
	}
	switch status := answered(err); {
	case status == http.StatusMovedPermanently, status == http.StatusTemporaryRedirect:
		return region(err, why)
	case status == http.StatusForbidden, status == http.StatusUnauthorized:
		return gateway.E(gateway.Unavailable, "bucket_denied", "The key may not do this in the bucket.").
			Next("Give it s3:ListBucket on the bucket and s3:GetObject on the prefix; to delete files also s3:DeleteObject.").Because(why)
	case status == http.StatusNotFound:
		return missing(why)
	case status == http.StatusPreconditionFailed:
		return changed()
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable, code(err) == "SlowDown":
		return gateway.E(gateway.Unavailable, "bucket_busy", "The store asks to be left alone for a while.").
			Next("It is tried again by itself.").Because(why)
	case status != 0:
		return gateway.E(gateway.Unavailable, "bucket_broken", "The store answers with an error.").
			Next("It is tried again by itself; if it stays so, ask whoever runs the store.").Because(why)
	}
	return gateway.E(gateway.Unavailable, "bucket_unreachable", "The store cannot be reached.").
		Next("Check the endpoint and the region; it is tried again by itself.").Because(clean(err))
}

func region(err, why error) error {
	e := gateway.E(gateway.Unavailable, "bucket_elsewhere", "The bucket lies in another region.").Because(why)
	var res *awshttp.ResponseError
	if errors.As(err, &res) && regionName.MatchString(res.Response.Header.Get("X-Amz-Bucket-Region")) {
		return e.Next("Set the folder's region to %s.", res.Response.Header.Get("X-Amz-Bucket-Region"))
	}
	return e.Next("Set the folder's region to the one that the store's console shows.")
}

// clean drops addresses from an error of the connection: they hold the request.
func clean(err error) error {
	var asked *url.Error
	if errors.As(err, &asked) {
		return asked.Err
	}
	var gone *aws.RequestCanceledError
	if errors.As(err, &gone) {
		return errors.New("the request was canceled")
	}
	return err
}
