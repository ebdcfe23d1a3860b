package settings

import "github.com/davitops/davit/internal/manifest"

// Suggest asks whether the nearest of the names was meant, and says otherwise if
// none is near.
func Suggest(given string, names []string, otherwise string) string {
	nearest, edits := "", 3 // more than two are another word
	for _, name := range names {
		if max(len(given)-len(name), len(name)-len(given)) >= edits {
			continue
		}
		// Every word of two letters is two edits from every other.
		if d := distance(given, name); d < edits && d <= len(name)/2 {
			nearest, edits = name, d
		}
	}
	if nearest == "" {
		return otherwise
	}
	return "did you mean " + manifest.Quote(nearest) + "?"
}

// distance is the number of single-character edits between two words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			edit := diagonal
			if a[i] != b[j] {
				edit = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], edit
		}
	}
	return row[len(b)]
}
