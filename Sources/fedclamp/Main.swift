print("fedclamp")
