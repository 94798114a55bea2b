# Makes a C string of a text file.
1i\
static const char schema_sql[] =
s/[\\"]/\\&/g
s/.*/	"&\\n"/
$a\
	;
