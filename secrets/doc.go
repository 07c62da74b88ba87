// Package secrets seals what must not lie open in the database and signs what must not be forged.
//
// Keyring is one file in the data folder: the keys that seal (tink AEAD, bound to table, column and
// row) and the keys that sign tickets. Tokens is the one way to sign and check JSON web tokens: the
// library's own defaults accept too much, so every option is set in one place.
package secrets
