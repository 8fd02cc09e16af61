using UnrealBuildTool;

public class Sam2Tracker : ModuleRules
{
    public Sam2Tracker(ReadOnlyTargetRules Target) : base(Target)
    {
        PCHUsage = PCHUsageMode.UseExplicitOrSharedPCHs;
        PublicDependencyModuleNames.AddRange(new[] { "Core", "CoreUObject", "Engine" });
        PrivateDependencyModuleNames.AddRange(new[] { "RenderCore", "RHI", "Sam2TrackerLibrary" });
    }
}
