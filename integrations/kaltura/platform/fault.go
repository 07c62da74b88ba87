package platform

import (
	"errors"
	"strings"

	"isthmus/gateway"
)

// fault is a Kaltura exception. Kaltura sends it with HTTP status 200.
type fault struct {
	code    string
	message string
	args    dict
}

// Error makes a fault an error.
func (f *fault) Error() string { return f.code + ": " + f.message }

// templates are the messages, with argument names between @.
var templates = map[string]string{
	"INTERNAL_SERVERL_ERROR":                               "Internal server error occurred",
	"INVALID_KS":                                           `Invalid KS "@KSID@", Error "@ERR_CODE@,@ERR_DESC@"`,
	"START_SESSION_ERROR":                                  "Error while starting session for partner [@PID@]",
	"INVALID_WIDGET_ID":                                    "Unknown widget [@WIDGET_ID@]",
	"INVALID_ACTIONS_LIMIT":                                "Invalid actions limit",
	"PARTNER_ACCESS_FORBIDDEN":                             "Partner [@ACCESSING_PID@] cannot access partner [@ACCESSED_PID@]",
	"SERVICE_NOT_SPECIFIED":                                "Service name was not specified, please specify one",
	"SERVICE_DOES_NOT_EXISTS":                              `Service "@SRV_NAME@" does not exists`,
	"ACTION_DOES_NOT_EXISTS":                               `Action "@ACTION_NAME@" does not exists for service "@SERVICE_NAME@"`,
	"SERVICE_FORBIDDEN":                                    "The access to service [@SERVICE@] is forbidden",
	"SERVICE_FORBIDDEN_CONTENT_BLOCKED":                    "The access to this service is forbidden since the specified partner is blocked",
	"MISSING_MANDATORY_PARAMETER":                          `Missing parameter "@PARAM_NAME@"`,
	"INVALID_ENUM_VALUE":                                   `Invalid enumeration value "@ENUM_VAL@" for parameter "@PARAM_NAME@", expecting enumeration type "@ENUM_TYPE@"`,
	"INVALID_FIELD_VALUE":                                  "value in field [@FIELD_NAME@] is not valid",
	"OBJECT_TYPE_ABSTRACT":                                 `The object type "@OBJ_TYPE@" is abstract, use one of the object implementations`,
	"PROPERTY_VALIDATION_CANNOT_BE_NULL":                   `The property "@PROP_NAME@" cannot be null`,
	"PROPERTY_VALIDATION_NOT_UPDATABLE":                    `The property "@PROP_NAME@" cannot be updated`,
	"PROPERTY_VALIDATION_ADMIN_PROPERTY":                   `The property "@PROP_NAME@" is updatable with admin session only`,
	"PROPERTY_VALIDATION_MIN_LENGTH":                       `The property "@PROP_NAME@" must have a min length of @MIN_LEN@ characters`,
	"PROPERTY_VALIDATION_WRONG_FORMAT":                     `The property "@PROP_NAME@" must match format @FORMAT@`,
	"PROPERTY_VALIDATION_ENTRY_STATUS":                     `The property "@PROP_NAME@" cannot be set for entry status "@STATUS@"`,
	"QUERY_EXCEEDED_MAX_MATCHES_ALLOWED":                   "Unable to generate list. max matches value was reached",
	"APP_TOKEN_ID_NOT_FOUND":                               `Application token id "@ID@" not found`,
	"APP_TOKEN_NOT_ACTIVE":                                 `Application token id "@ID@" not active`,
	"APP_TOKEN_EXPIRED":                                    `Application token id "@ID@" expired`,
	"INVALID_APP_TOKEN_HASH":                               "Invalid application token hash",
	"INVALID_USER_ID":                                      "Invalid user id",
	"DUPLICATE_USER_BY_ID":                                 "User with id [@UID@] already exists in system",
	"DUPLICATE_USER_BY_LOGIN_ID":                           "Loginable user with email [@EMAIL@] already exists in system",
	"CANNOT_RETRIEVE_ANOTHER_USER_USING_NON_ADMIN_SESSION": `cannot retrieve another user "@USER_ID@" using non-admin session`,
	"LOGIN_DATA_NOT_FOUND":                                 "Login id not found",
	"USER_WRONG_PASSWORD":                                  "Wrong password supplied",
	"USER_DATA_ERROR":                                      "User data is not valid.",
	"ENTRY_ID_NOT_FOUND":                                   `Entry id "@ENTRY_ID@" not found`,
	"INVALID_ENTRY_ID":                                     `Invalid entry id ["@ID@"]`,
	"ENTRY_ALREADY_WITH_CONTENT":                           "Entry already associated with content",
	"RESOURCE_TYPE_NOT_SUPPORTED":                          `Resource type "@RES_TYPE@" not supported`,
	"CONVERSION_PROFILE_ID_NOT_FOUND":                      `Conversion profile id "@ID@" not found`,
	"ACCESS_CONTROL_ID_NOT_FOUND":                          `Access control id "@ID@" not found`,
	"FLAVOR_ASSET_ID_NOT_FOUND":                            `Flavor asset id "@ID@" not found`,
	"FLAVOR_ASSET_IS_NOT_READY":                            "The flavor asset is not ready",
	"THUMB_ASSET_ID_NOT_FOUND":                             `The Thumbnail asset id "@ID@" not found`,
	"UPLOAD_ERROR":                                         "Upload failed",
	"UPLOAD_PARTIAL_ERROR":                                 "File was uploaded partially",
	"UPLOAD_TOKEN_NOT_FOUND":                               "Upload token not found",
	"UPLOAD_TOKEN_INVALID_STATUS_FOR_UPLOAD":               "Upload token is in an invalid status for uploading a file, maybe the file was already uploaded",
	"UPLOAD_TOKEN_INVALID_STATUS_FOR_ADD_ENTRY":            "Upload token is in an invalid status for adding entry, maybe the a file was not uploaded or the token was used",
	"UPLOAD_TOKEN_CANNOT_RESUME":                           "Cannot resume the upload, original file was not found",
	"UPLOAD_TOKEN_CANNOT_MATCH_EXPECTED_SIZE":              "Failed to match expected file size",
	"UPLOAD_TOKEN_FILE_TYPE_RESTRICTED_FOR_UPLOAD":         "Upload token is restricted due to the file type",
	"UPLOAD_TOKEN_MISSING_FILE_SIZE":                       "FileSize is mandatory when enabling autoFinalize",
	"UPLOADED_FILE_NOT_FOUND_BY_TOKEN":                     "The uploaded file was not found by the given token id, or was already used",
	"MUST_FILTER_ON_OBJECT_ID":                             "Must filter on object id",
	"DROP_FOLDER_ALREADY_EXISTS":                           "Drop folder with path [@PATH@] already exists",
	"DROP_FOLDER_NOT_FOUND":                                "Drop folder id [@FOLDER_ID@] not found",
	"DATA_CENTER_ID_NOT_FOUND":                             "There is no data center with id [@DCID@]",
	"INGESTION_PROFILE_ID_NOT_FOUND":                       `Ingestion profile id "@ID@" not found`,
	"BULK_UPLOAD_NOT_FOUND":                                `Bulk upload id "@ID@" not found`,
	"CATEGORY_NOT_FOUND":                                   `Category id "@ID@" not found`,
	"PARENT_CATEGORY_NOT_FOUND":                            `Parent category id "@ID@" not found`,
	"DUPLICATE_CATEGORY":                                   `The category "@CAT@" already exists`,
	"CATEGORY_ENTRY_ALREADY_EXISTS":                        "Entry already assigned to this category",
	"CATEGORY_USER_ALREADY_EXISTS":                         "User already exists in this category",
	"CAPTION_ASSET_ID_NOT_FOUND":                           `The caption asset id "@ID@" not found`,
	"CAPTION_ASSET_IS_NOT_READY":                           "The caption asset is not ready",
	"THUMB_ASSET_IS_NOT_READY":                             "The thumbnail asset is not ready",
	"FILE_CONTENT_NOT_SECURE":                              "File content is not secure",
	"FLAVOR_PARAMS_ID_NOT_FOUND":                           `Flavor params id "@ID@" not found`,
	"FLAVOR_ASSET_ALREADY_EXISTS":                          `Flavor asset "@ID@" already exists for flavor params "@FLAVOR_PARAMS_ID@"`,
	"METADATA_PROFILE_NOT_FOUND":                           `Metadata profile [@ID@] not found`,
	"INVALID_METADATA_PROFILE_SCHEMA":                      "Invalid metadata profile schema: @ERR_MSG@",
	"SYSTEM_NAME_ALREADY_EXISTS":                           "System name [@SYSTEM_NAME@] already exists",
	"METADATA_NOT_FOUND":                                   `Metadata id "@ID@" not found`,
	"METADATA_ALREADY_EXISTS":                              `The metadata already exists, use update instead, existing id [@ID@]`,
	"INVALID_METADATA_DATA":                                "The metadata object data is invalid: @ERR_MSG@",
	"INVALID_OBJECT_ID":                                    "Invalid object id [@ID@]",
}

// refuse makes a fault from its code and name-value pairs of arguments.
func refuse(code string, args ...string) *fault {
	f := &fault{code: code, message: templates[code], args: dict{}}
	for i := 0; i+1 < len(args); i += 2 {
		f.args = append(f.args, member{args[i], args[i+1]})
		f.message = strings.ReplaceAll(f.message, "@"+args[i]+"@", args[i+1])
	}
	return f
}

// invalidKS refuses a session: id is the KS itself or the word for its state.
func invalidKS(id string) *fault {
	return refuse("INVALID_KS", "KSID", id, "ERR_CODE", "-1", "ERR_DESC", "INVALID_STR")
}

// notOwner refuses a write to something that belongs to another user.
func notOwner() *fault {
	return refuse("INVALID_KS", "KSID", "", "ERR_CODE", "-4", "ERR_DESC", "INVALID_TYPE")
}

// asFault gives the fault for any error: a fault itself, a translated gateway error, or the one
// sentence that says nothing.
func asFault(err error) *fault {
	var f *fault
	if errors.As(err, &f) {
		return f
	}
	if gateway.CodeOf(err) == gateway.TooLarge {
		return refuse("UPLOAD_ERROR")
	}
	return refuse("INTERNAL_SERVERL_ERROR")
}

// missing tells whether err says that a row is not there.
func missing(err error) bool { return gateway.CodeOf(err) == gateway.NotFound }
