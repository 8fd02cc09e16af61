// The installed tree of ../../../../engine-plugin, with libsam2.so.1 beside it:
//   include/tracker.h
//   lib/libsam2_tracker.so
//   lib/libsam2.so.1
using System.IO;
using UnrealBuildTool;

public class Sam2TrackerLibrary : ModuleRules
{
    public Sam2TrackerLibrary(ReadOnlyTargetRules Target) : base(Target)
    {
        Type = ModuleType.External;
        PublicSystemIncludePaths.Add(Path.Combine(ModuleDirectory, "include"));
        string Libraries = Path.Combine(ModuleDirectory, "lib");
        PublicAdditionalLibraries.Add(Path.Combine(Libraries, "libsam2_tracker.so"));
        PublicRuntimeLibraryPaths.Add(Libraries);
        // Copied beside the program when the game is packaged.
        foreach (string Name in new[] { "libsam2_tracker.so", "libsam2.so.1" })
            RuntimeDependencies.Add("$(BinaryOutputDir)/" + Name, Path.Combine(Libraries, Name));
    }
}
