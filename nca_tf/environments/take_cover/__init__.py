"""Take Cover of ViZDoom: dodge fireballs for as long as possible."""
