// A program is no library, whatever its name says.
int main() { return 0; }
