-- The daemon's rows. Files are the truth for images' layers and saved states; rows are the truth for everything else.
CREATE TABLE IF NOT EXISTS instances (
	uuid TEXT PRIMARY KEY,
	name TEXT NOT NULL UNIQUE,
	image TEXT NOT NULL,
	description TEXT NOT NULL DEFAULT '',
	config TEXT NOT NULL DEFAULT '{}',
	ephemeral INTEGER NOT NULL DEFAULT 0,
	created INTEGER NOT NULL,
	last_used INTEGER NOT NULL DEFAULT 0
);

-- What was begun and not finished: the row comes before the deed and goes after it.
CREATE TABLE IF NOT EXISTS journal (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	flow TEXT NOT NULL,
	instance TEXT NOT NULL,
	detail TEXT,
	began INTEGER NOT NULL
);
