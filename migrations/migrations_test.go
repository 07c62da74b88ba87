package migrations_test

import (
	"testing"

	"isthmus/migrations"
)

// Both trees hold the same steps. The tables and columns that come out are compared in store.
func TestSameVersions(t *testing.T) {
	lite, err := migrations.List("sqlite")
	if err != nil {
		t.Fatal(err)
	}
	pg, err := migrations.List("postgres")
	if err != nil {
		t.Fatal(err)
	}
	if len(lite) == 0 || len(lite) != len(pg) {
		t.Fatalf("%d steps on SQLite, %d on Postgres", len(lite), len(pg))
	}
	for i := range lite {
		if lite[i].Version != pg[i].Version || lite[i].Name != pg[i].Name {
			t.Errorf("%04d_%s on SQLite, %04d_%s on Postgres", lite[i].Version, lite[i].Name, pg[i].Version, pg[i].Name)
		}
		if lite[i].SQL == "" || pg[i].SQL == "" {
			t.Errorf("%s is empty", lite[i].Name)
		}
	}
	if _, err := migrations.List("mysql"); err == nil {
		t.Error("a tree that does not exist")
	}
}
